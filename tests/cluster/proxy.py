"""A proxy in front of PostgreSQL's socket, which a test can cut: a worker's own way to the database."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class DatabaseProxy:
    """Serves ``folder``/.s.PGSQL.5432 from a thread of its own, until ``close``."""

    def __init__(self, upstream: str) -> None:
        self._upstream = f"{upstream}/{SOCKET}"
        self.folder = Path(tempfile.mkdtemp(prefix="guichets-proxy-"))
        self._is_cut = False
        self._swallows = False
        self._before: tuple[bytes, Callable[[], None]] | None = None
        self._pipes: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait(10)

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(self._abort_all)

    def swallow(self) -> None:
        """Accept everything and answer nothing, as a network that lost its way: nobody is told."""
        self._swallows = True

    def before(self, words: bytes, act: Callable[[], None]) -> None:
        """Do something each time a client asks for ``words``, before PostgreSQL learns of it."""
        self._before = words, act

    def mend(self) -> None:
        self._is_cut = self._swallows = False
        self._before = None

    def close(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_unix_server(self._serve, path=str(self.folder / SOCKET))
        )
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def _abort_all(self) -> None:
        for writer in list(self._pipes):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_unix_connection(self._upstream)
        except OSError:  # PostgreSQL restarts
            writer.transport.abort()
            return
        self._pipes |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        self._pipes -= {writer, back}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self._swallows:
                    continue
                if self._before is not None and self._before[0] in data:
                    await asyncio.to_thread(self._before[1])
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
