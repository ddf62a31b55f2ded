"""Serves one contender: `python -m tests.benchmarks.contenders NAME PORT`, with the same loop and parser as Relevo."""

import os
import sys
from importlib import import_module

import uvicorn
import uvloop


async def serve(name: str, port: int) -> None:
    """`name` is a module of this package, and after a colon the variant that its `opened` is asked for."""
    module, _, variant = name.partition(":")
    contender = import_module(f"tests.benchmarks.contenders.{module}")
    async with contender.opened({**os.environ, "VARIANT": variant}) as app:
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            loop="none",
            http="httptools",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
