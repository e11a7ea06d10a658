"""The whole of the web side as one ASGI application: addresses, failures, and what holds for all of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from cxr_node.errors import CxrNodeError
from cxr_node.web import actions as acting
from cxr_node.web import api, openapi, outputs, workitems
from cxr_node.web.access import Door
from cxr_node.web.actions import Actions
from cxr_node.web.api import Api
from cxr_node.web.board import Board
from cxr_node.web.channel import Channels
from cxr_node.web.guard import Guard
from cxr_node.web.live import Live
from cxr_node.web.metrics import NodeCollector
from cxr_node.web.names import Names
from cxr_node.web.openapi import Description
from cxr_node.web.operations import Operation, routes
from cxr_node.web.outputs import Outputs
from cxr_node.web.pages import Pages
from cxr_node.web.parts import NotSignedIn, Parts, sign_in_first
from cxr_node.web.pictures import Pictures
from cxr_node.web.signin import SignIn
from cxr_node.web.site import Site
from cxr_node.web.stow import Stow
from cxr_node.web.templates import Templates
from cxr_node.web.workitems import BASE, Workitems

_BELOW: Final = ("", "/{study}")
STATIC: Final = Path(__file__).parent / "static"


def build(site: Site, door: Door, on_start: Callable[[Live], None] = lambda _: None) -> Starlette:
    """The application of a node. `on_start` is given what is to be rung when the node has worked."""
    live = Live(site.store, site.pseudonym)
    board = Board(site.store, site.places, site.facts.max_wait_minutes * 60, site.clock)
    parts = Parts(site, door, board, live, Names(site.store, site.pseudonym))
    pages = Pages(parts, Templates())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(live.run())
        on_start(live)
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    handlers: dict[Any, Any] = {CxrNodeError: pages.failure, NotSignedIn: sign_in_first}
    return Starlette(
        routes=_routes(parts, pages), middleware=[Middleware(Guard)], exception_handlers=handlers, lifespan=lifespan
    )


def _routes(parts: Parts, pages: Pages) -> list[BaseRoute]:
    collector = NodeCollector(parts.site.store, parts.site.status, parts.site.facts.version)
    actions, pictures, sign_in = Actions(parts), Pictures(parts), SignIn(parts, pages)
    return [
        Route("/", pages.worklist, methods=["GET"]),
        Route("/worklist", pages.rows, methods=["POST"]),
        Route("/worklist/freeze", actions.freeze, methods=["POST"]),
        Route("/studies/{name}", pages.study, methods=["GET"]),
        Route("/studies/{name}/films/{film}.png", pictures.film, methods=["GET"]),
        Route("/studies/{name}/films/{film}/heat.png", pictures.heat, methods=["GET"]),
        Route("/studies/{name}/withdraw", actions.withdraw, methods=["POST"]),
        Route("/studies/{name}/reinstate", actions.reinstate, methods=["POST"]),
        Route("/studies/{name}/{action}", actions.act, methods=["POST"]),
        Route("/health", pages.health, methods=["GET"]),
        Route("/language", pages.language, methods=["POST"]),
        Route("/sign-in", sign_in.page, methods=["GET"]),
        Route("/sign-in", sign_in.enter, methods=["POST"]),
        Route("/sign-out", sign_in.leave, methods=["POST"]),
        *_for_programs(parts, Api(parts, collector), actions),
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]


def _for_programs(parts: Parts, programs: Api, actions: Actions) -> list[BaseRoute]:
    """What is no page, with its description. UPS-RS where it is on; its event reports come by a WebSocket."""
    groups: list[tuple[object, Sequence[Operation]]] = [(programs, api.OPERATIONS), (actions, acting.OPERATIONS)]
    channels: list[BaseRoute] = []
    if parts.site.desk is not None:
        groups.append((Workitems(parts, parts.site.desk), workitems.OPERATIONS))
        channels = [WebSocketRoute(BASE + "/subscribers/{receiver}", Channels(parts, parts.site.desk).open)]
    groups.append((Outputs(parts), outputs.OPERATIONS))
    taking: list[BaseRoute] = []
    if parts.site.intake is not None:
        taking = [
            Route(f"{BASE}/studies{rest}", Stow(parts, parts.site.intake).store, methods=["POST"]) for rest in _BELOW
        ]
    described = Description(parts, groups)
    groups.append((described, openapi.OPERATIONS))
    return [route for group, operations in groups for route in routes(group, operations)] + channels + taking
