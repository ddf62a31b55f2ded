"""The README's own first webhook: its receiver and its sender, run as they are written there."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from tests.support.patience import patient
from tests.support.processes import RelevoProcess, environment, free_port, run_anew, running, settings

README = Path(__file__).parents[2] / "README.md"
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def written(directory: Path, *ports: int) -> list[str]:
    """The files of the README's programs, on ports that are free here."""
    paths = []
    for number, program in enumerate(CODE.findall(README.read_text())):
        path = directory / f"{number}.py"
        path.write_text(program.replace("9000", str(ports[0])).replace("localhost:8000", f"127.0.0.1:{ports[1]}"))
        paths.append(str(path))
    return paths


async def test_the_readmes_receiver_gets_what_its_sender_sends(database: str, directory: Path) -> None:
    environ = settings(RELEVO_DATABASE_URL=database)
    receiver, sender = written(directory, free_port(), int(environ["RELEVO_PORT"]))
    status, token, complaints = await run_anew("token", environ=environ)
    assert status == 0, complaints

    async with running(RelevoProcess("serve", environ, directory / "log")):
        receiving = await asyncio.create_subprocess_exec(sys.executable, receiver, stdout=PIPE)
        try:
            sending = await asyncio.create_subprocess_exec(
                sys.executable, sender, env=environment({"RELEVO_TOKEN": token.strip()}), stdout=PIPE, stderr=STDOUT
            )
            said, _ = await sending.communicate()
            assert receiving.stdout is not None
            async with asyncio.timeout(patient(30)):
                received = await receiving.stdout.readline()
        finally:
            receiving.kill()
            await receiving.wait()

    assert said.startswith(b"accepted msg_"), said
    assert received == b'received {"id":1}\n'
