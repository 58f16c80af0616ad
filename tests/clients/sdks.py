# SPDX-License-Identifier: Apache-2.0
"""The AWS SDKs for JavaScript and Go, and the AWS CLI: each makes a list of calls and gives the answers."""

from __future__ import annotations

import functools
import json
import re

from clients.programs import HERE, VENV, found, run

AWS_CLI = VENV / "aws-cli" / "bin" / "aws"


class Sdk:
    """An AWS SDK, one process for a whole list of calls."""

    def __init__(self, url):
        self.url = url

    def make(self, calls):
        done = run(*self.command(), self.url, json.dumps(calls))
        answered = [json.loads(line) for line in done.stdout.splitlines()]
        assert all(each["modelled"] for each in answered if "error" in each), answered
        return [(each["operation"], each.get("error", each.get("answer"))) for each in answered]


class NodeSdk(Sdk):
    """The AWS SDK for JavaScript."""

    def command(self):
        return found("node", "nodejs"), str(HERE / "worker.mjs")


class GoSdk(Sdk):
    """The AWS SDK for Go 2, as Debian has it."""

    GO_PATH = "/usr/share/gocode"
    PACKAGES = "golang-go golang-github-aws-aws-sdk-go-v2-dev"

    def command(self):
        return (self.built(),)

    @classmethod
    @functools.cache
    def built(cls):
        go, program = found("go", cls.PACKAGES), VENV / "go" / "worker"
        found(f"{cls.GO_PATH}/src/github.com/aws/aws-sdk-go-v2/service/codepipeline", cls.PACKAGES)
        settings = {"GO111MODULE": "off", "GOPATH": cls.GO_PATH, "GOCACHE": str(VENV / "go" / "cache")}
        run(go, "build", "-o", str(program), str(HERE / "worker.go"), timeout=600, **settings)
        return str(program)


class AwsCli:
    """The AWS CLI, a process for each call."""

    def __init__(self, url):
        self.url = url
        self.kept = {}

    def make(self, calls):
        return [(operation, self._call(operation, *rest)) for operation, *rest in calls]

    def _call(self, operation, request, keep=()):
        command = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", operation).lower()
        where = ["--endpoint-url", self.url, "--region", "us-east-1", "--output", "json"]
        done = run(
            *[
                AWS_CLI,
                "codepipeline",
                command,
                *where,
                "--cli-input-json",
                json.dumps(self._filled(request)),
            ],
            check=False,
            AWS_ACCESS_KEY_ID="AKIAWORKER",
            AWS_SECRET_ACCESS_KEY="any",
            AWS_MAX_ATTEMPTS="1",
        )
        if done.returncode != 0:
            error = re.search(r"An error occurred \((\w+)\)", done.stderr)
            assert error, done.stderr
            return error[1]
        answer = json.loads(done.stdout or "{}")
        for name, path in dict(keep).items():
            inner = answer
            for part in path.split("."):
                inner = inner[int(part) if isinstance(inner, list) else part]
            self.kept[name] = inner
        return answer

    def _filled(self, value):
        if isinstance(value, str) and value.startswith("$"):
            return self.kept[value[1:]]
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, dict):
            return {name: self._filled(inner) for name, inner in value.items()}
        return value
