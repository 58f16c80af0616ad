# SPDX-License-Identifier: Apache-2.0
"""
Artifacts, beside boto3's own transfers and ``zipfile.extractall``; by one process, and by many at once.

Each measurement runs in its own process, ours and the other in turn, against an emulator in another one.
Both have the same modules loaded and a client ready, so that only the work makes a difference.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.apart import run_apart, served_apart
from benchmarks.emulated import ACTION_TYPE, REGION, connections
from benchmarks.figures import Figure, Point

MIB = 1024 * 1024
FILES = 256
#: Processes that transfer at once.
MANY = 8
_RIVALS = {
    "download": "boto3's download_file",
    "upload": "boto3's upload_file",
    "extract": "zipfile.extractall",
}
_GOALS = {"download": 1.1, "upload": 1.1, "extract": 1.2}
_MAX_EXTRA_MEMORY_MIB = 64


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    if short:
        return _figures(64, 1, ["download", "upload"], 1)
    by_many = _figures(128, 3, ["download", "upload"], MANY)
    return [*_figures(1024, 3, ["download", "upload", "extract"], 1), *by_many]


def _figures(mib: int, rounds: int, measured: list[str], processes: int) -> list[Figure]:
    """
    Return the figures of one size.

    :param mib: Size of the artifact.
    :param rounds: How often each is measured.
    :param measured: What is done with it.
    :param processes: How many processes do it at once.
    """
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        source = Path(folder) / "source.zip"
        _make_archive(source, mib)
        with served_apart(artifact_store, str(source)) as store:
            environment = connections(store["url"], {store["client_id"]: store["client_token"]})
            job = run_apart(claim_job, environment=environment)
            for number in range(rounds):
                for what in measured:
                    for whose in ("theirs", "ours") if number % 2 else ("ours", "theirs"):
                        made = run_apart(
                            transfer, what, whose, str(source), job, processes, environment=environment
                        )
                        for name, value in made.items():
                            found[what, whose, name].append(value)
    figures = []
    suffix, by = ("", "") if processes == 1 else ("-by-many", f" by {processes} processes at once")
    for what in measured:
        seconds = Point(found[what, "ours", "seconds"], found[what, "theirs", "seconds"])
        memory = zip(found[what, "ours", "peak_mib"], found[what, "theirs", "peak_mib"], strict=True)
        more = Point([ours - theirs for ours, theirs in memory])
        said = f"{what} of {mib:,} MiB{by}"
        figures += [
            Figure(
                f"artifact-{what}{suffix}", said, f"{_RIVALS[what]}{by}", "s", [seconds],
                at_most=_GOALS[what], alarm=3.0,
            ),
            Figure(
                f"artifact-{what}{suffix}-memory", f"{said}: peak memory of a process, less the other's",
                f"{_RIVALS[what]}{by}", "MiB", [more], at_most=_MAX_EXTRA_MEMORY_MIB, alarm=128.0,
            ),
        ]  # fmt: skip
    return figures


@contextlib.contextmanager
def artifact_store(source: str) -> Iterator[dict[str, str]]:
    """
    Serve an emulator with one job, whose input artifact is a file.

    :param source: The file's path.
    """
    from airflow_codepipeline_partner.emulator import Emulator

    with Emulator() as emulator:
        customer = emulator.add_customer()
        emulator.add_pipeline(
            "benchmark",
            client_id=customer.client_id,
            action_type=ACTION_TYPE,
            output_artifacts=["Built"],
        )
        emulator.start_execution("benchmark", {"SourceOutput": Path(source).read_bytes()})
        yield {"url": emulator.url, "client_id": customer.client_id, "client_token": customer.client_token}


def claim_job() -> Any:
    """Claim the one job."""
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    hook = CodePipelineHook()
    [job] = hook.poll(ACTION_TYPE)
    claimed = hook.claim(job)
    if claimed is None:
        raise RuntimeError("The job was not claimed.")
    return claimed.to_xcom()


def transfer(what: str, whose: str, source: str, job: dict[str, Any], processes: int) -> dict[str, float]:
    """
    Do it once, in this number of processes at the same time.

    :param what: ``download``, ``upload`` or ``extract``.
    :param whose: ``ours`` or ``theirs``.
    :param source: The path of the artifact's file.
    :param job: The claimed job.
    :param processes: How many.
    :return: The seconds from the first begin to the last end, and the highest memory of any of them.
    """
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(processes), context.Queue()
    work = [
        context.Process(target=_transfer_once, args=(what, whose, source, job, start, results))
        for _ in range(processes)
    ]
    for process in work:
        process.start()
    # A process that fails takes the others' barrier with it.
    found = [results.get(timeout=900) for _ in work]
    for process in work:
        process.join()
    return {
        "seconds": max(end for _, end, _ in found) - min(begin for begin, _, _ in found),
        "peak_mib": max(peak for _, _, peak in found),
    }


def _transfer_once(what: str, whose: str, path: str, job: dict[str, Any], start: Any, results: Any) -> None:
    from airflow_codepipeline_partner.artifacts.job_storage import JobStorage
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    hook, source = CodePipelineHook(), Path(path)
    storage = JobStorage(hook, job)
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        # Clients, and what they load, are made once for any number of transfers, so they are not measured.
        work = _WORK[what, whose](Path(folder) / "result", source, storage, hook)
        start.wait(120)
        # On Linux this clock is the same in all processes.
        began = time.perf_counter()
        work()
        results.put((began, time.perf_counter(), _peak_memory_mib()))


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
    session: Any = boto3.Session(
        region_name=REGION,
        aws_access_key_id=credentials["accessKeyId"],
        aws_secret_access_key=credentials["secretAccessKey"],
        aws_session_token=credentials["sessionToken"],
    )
    return session.client("s3", endpoint_url=hook.conn_config.endpoint_url)


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
    ("download", "theirs"): _download_by_boto3,
    ("upload", "ours"): _upload,
    ("upload", "theirs"): _upload_by_boto3,
    ("extract", "ours"): _extract,
    ("extract", "theirs"): _extract_by_zipfile,
}


def _make_archive(path: Path, mib: int) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(FILES):
            # Random bytes do not compress, so that the archive is as large as its content.
            with archive.open(f"folder{number % 16}/file{number}", "w", force_zip64=True) as file:
                for _ in range(mib * 4 // FILES):
                    file.write(chance.randbytes(MIB // 4))
