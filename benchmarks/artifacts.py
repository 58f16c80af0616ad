# SPDX-License-Identifier: Apache-2.0
"""
Compare artifacts with boto3's own transfers and with ``zipfile.extractall``.

Each measurement runs in its own process, ours and the rival's in turn, against an emulator in another one.
Both have the same modules loaded and a client ready, so that only the work makes a difference.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
ACTION_TYPE = {"category": "Build", "owner": "ThirdParty", "provider": "Example", "version": "1"}
FILES = 256
#: Work → its longest time, as a multiple of the rival's.
MAX_RATIOS = {"download": 1.1, "upload": 1.1, "extract": 1.2}
MAX_EXTRA_MEMORY_MIB = 64


def main() -> int:
    """Run what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the artifact")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--what", nargs="+", choices=list(MAX_RATIOS), default=list(MAX_RATIOS))
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "WHOSE"), help="measure one (used internally)")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_measure(*arguments.one)))
        return 0
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        return _compare(Path(folder), arguments.mib, arguments.rounds, arguments.what)


def _compare(folder: Path, mib: int, rounds: int, measured: list[str]) -> int:
    from airflow_codepipeline_partner.emulator import Emulator

    source = folder / "source.zip"
    print(f"making an artifact of {mib} MiB in {FILES} files", flush=True)
    _make_archive(source, mib)
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    with Emulator() as emulator:
        customer = emulator.add_customer()
        emulator.add_pipeline(
            "benchmark",
            client_id=customer.client_id,
            action_type=ACTION_TYPE,
            output_artifacts=["Built"],
        )
        emulator.start_execution("benchmark", {"SourceOutput": source.read_bytes()})
        environment = _environment(folder, emulator.url, customer)
        environment["BENCHMARK_JOB"] = json.dumps(_claim(environment))
        for number in range(rounds):
            for what in measured:
                for whose in ("rival", "ours") if number % 2 else ("ours", "rival"):
                    output = subprocess.run(  # noqa: S603
                        [sys.executable, __file__, "--one", what, whose],
                        env=environment,
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout
                    found[what, whose].append(json.loads(output.strip().rpartition("\n")[2]))
            print(f"round {number + 1} of {rounds} done", flush=True)
    return _report(found)


def _report(found: dict[tuple[str, str], list[dict[str, float]]]) -> int:
    """Print the medians, and return 1 if one is over its limit."""
    is_over = False
    print(f"{'':10}{'ours':>10}{'rival':>10}{'ratio':>8}{'at most':>9}{'peak memory, ours - rival':>28}")
    for what in dict.fromkeys(what for what, _ in found):
        most = MAX_RATIOS[what]
        seconds = {
            whose: statistics.median(each["seconds"] for each in found[what, whose])
            for whose in ("ours", "rival")
        }
        peaks = {
            whose: statistics.median(each["peak_mib"] for each in found[what, whose])
            for whose in ("ours", "rival")
        }
        ratio, more = seconds["ours"] / seconds["rival"], peaks["ours"] - peaks["rival"]
        is_over |= ratio > most or more > MAX_EXTRA_MEMORY_MIB
        times = "".join(f"{seconds[whose]:>8.2f} s" for whose in ("ours", "rival"))
        print(f"{what:10}{times}{ratio:>8.2f}{most:>9}{more:>+24.0f} MiB")
    return int(is_over)


def _measure(what: str, whose: str) -> dict[str, float]:
    from airflow_codepipeline_partner.artifacts.job_storage import JobStorage
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    hook = CodePipelineHook()
    storage = JobStorage(hook, json.loads(os.environ["BENCHMARK_JOB"]))
    source = Path(os.environ["BENCHMARK_SOURCE"])
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        # Clients, and what they load, are made once for any number of transfers, so they are not measured.
        work = _WORK[what, whose](Path(folder) / "result", source, storage, hook)
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_mib": _peak_memory_mib()}


def _peak_memory_mib() -> float:
    # getrusage would count the memory of the parent process, too.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("This system does not report a process's peak memory. Run this on Linux.")


def _download(result: Path, source: Path, storage: Any, hook: Any) -> Callable[[], object]:
    _ = storage.client
    return lambda: storage.download(storage.find_input(), result)


def _upload(result: Path, source: Path, storage: Any, hook: Any) -> Callable[[], object]:
    _ = storage.client
    return lambda: storage.upload(storage.find_output(), source)


def _extract(result: Path, source: Path, storage: Any, hook: Any) -> Callable[[], object]:
    from airflow_codepipeline_partner.artifacts.extract import extract

    return lambda: extract(source, result, artifact="SourceOutput")


def _client(storage: Any, hook: Any) -> Any:
    import boto3

    credentials = hook.details(storage.job).artifact_credentials
    return boto3.client(
        "s3",
        endpoint_url=os.environ["BENCHMARK_URL"],
        region_name="us-east-1",
        aws_access_key_id=credentials["accessKeyId"],
        aws_secret_access_key=credentials["secretAccessKey"],
        aws_session_token=credentials["sessionToken"],
    )


def _download_by_boto3(result: Path, source: Path, storage: Any, hook: Any) -> Callable[[], object]:
    artifact, client = storage.find_input(), _client(storage, hook)
    return lambda: client.download_file(artifact.bucket, artifact.key, str(result))


def _upload_by_boto3(result: Path, source: Path, storage: Any, hook: Any) -> Callable[[], object]:
    artifact, client = storage.find_output(), _client(storage, hook)
    encryption = {"ServerSideEncryption": "aws:kms"}
    return lambda: client.upload_file(str(source), artifact.bucket, artifact.key, ExtraArgs=encryption)


def _extract_by_zipfile(result: Path, source: Path, storage: Any, hook: Any) -> Callable[[], object]:
    def extract() -> None:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(result)

    return extract


_WORK = {
    ("download", "ours"): _download,
    ("download", "rival"): _download_by_boto3,
    ("upload", "ours"): _upload,
    ("upload", "rival"): _upload_by_boto3,
    ("extract", "ours"): _extract,
    ("extract", "rival"): _extract_by_zipfile,
}


def _make_archive(path: Path, mib: int) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(FILES):
            # Random bytes do not compress, so that the archive is as large as its content.
            with archive.open(f"folder{number % 16}/file{number}", "w", force_zip64=True) as file:
                for _ in range(max(1, mib // FILES)):
                    file.write(chance.randbytes(MIB))


def _environment(folder: Path, url: str, customer: Any) -> dict[str, str]:
    aws = {
        "conn_type": "aws",
        "login": "AKIAEXAMPLE",
        "password": "example",
        "extra": {"region_name": "us-east-1", "endpoint_url": url},
    }
    client = {
        "conn_type": "codepipeline_partner_client",
        "login": customer.client_id,
        "password": customer.client_token,
    }
    conn_id = f"codepipeline_client_{customer.client_id.replace('-', '_')}"
    return {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws),
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(client),
        "BENCHMARK_URL": url,
        "BENCHMARK_SOURCE": str(folder / "source.zip"),
    }


def _claim(environment: dict[str, str]) -> dict[str, Any]:
    script = (
        "import json; from airflow_codepipeline_partner.hooks import CodePipelineHook as H; h = H(); "
        f"[job] = h.poll({ACTION_TYPE!r}); print(json.dumps(h.claim(job).to_xcom()))"
    )
    output = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    ).stdout
    job: dict[str, Any] = json.loads(output.strip().rpartition("\n")[2])
    return job


if __name__ == "__main__":
    sys.exit(main())
