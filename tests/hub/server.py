"""Starts the hub of town halls, as published, before town softwares of a test's. Run by its own environment.

    .venv/hub/bin/python tests/hub/server.py '{"<slug>": "<address of its API>", …}'

The package has no program of its own: this mounts its routes, names the softwares, and collects their
mairies as it does each day. Two ports serve the same hub, the second without its WebSocket; their numbers are
printed as JSON. Everything that answers is the package's; nothing of Guichets is imported.
"""

import asyncio
import json
import os
import socket
import sys

TOKEN = "un-jeton-officiel"


async def serve(editors: dict[str, str]) -> None:
    from fastapi import APIRouter, FastAPI
    from hubrdvmairie.controllers.routes import external, internal, time_slots, websocket
    from hubrdvmairie.db.utils import set_all_editors
    from hubrdvmairie.models.editor import Editor
    from hubrdvmairie.services.scheduled_functions import run_daily_scheduled_functions
    from slowapi import Limiter, _rate_limit_exceeded_handler
    from slowapi.errors import RateLimitExceeded
    from slowapi.util import get_remote_address
    from uvicorn import Config, Server

    def application(*routers: APIRouter) -> FastAPI:
        app = FastAPI()
        app.state.limiter = Limiter(key_func=get_remote_address, headers_enabled=True)
        app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
        for router in routers:
            app.include_router(router, prefix="/api")
        return app

    set_all_editors([Editor(slug, slug, address, False, True) for slug, address in editors.items()])
    await run_daily_scheduled_functions()
    plain = (external.router, time_slots.router, internal.router)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    apps = (application(*plain, websocket.router), application(*plain))
    servers = [Server(Config(app, log_level="critical", lifespan="off")) for app in apps]
    running = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, listener in zip(servers, sockets, strict=True)
    ]
    while not all(server.started for server in servers):  # noqa: ASYNC110 - it has no event for this
        await asyncio.sleep(0.02)
    print(json.dumps([listener.getsockname()[1] for listener in sockets]), flush=True)
    await asyncio.gather(*running)


def main() -> None:
    editors = json.loads(sys.argv[1])
    os.environ["AUTH_TOKENS"] = json.dumps([TOKEN])
    os.environ.update({f"{slug}_auth_token": f"de-{slug}" for slug in editors})
    asyncio.run(serve(editors))


if __name__ == "__main__":
    main()
