"""With gradio's extra for the Model Context Protocol the endpoints are tools, and `draw` answers with the picture."""

import base64
import io

import pytest
from models import tiny_folder
from PIL import Image
from waiting import finished

mcp = pytest.importorskip("mcp", reason="gradio's extra mcp is not installed")
WANTED = {"draw", "compare", "scan_order", "attention"}


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """tools(calls): the names of all tools, and the answer of each call (name, arguments)."""
    from pages import serving

    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_MCP_SERVER", "True")
        with serving(root) as url:

            async def ask(calls):
                from mcp.client.streamable_http import streamablehttp_client

                async with streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _):
                    async with mcp.ClientSession(read, write) as session:
                        await session.initialize()
                        names = {tool.name for tool in (await session.list_tools()).tools}
                        return names, [await session.call_tool(*call) for call in calls]

            yield lambda *calls: finished(ask(calls))


def test_drawing_comparing_orders_and_attention_are_tools_and_private_handlers_are_not(tools):
    names, _ = tools()
    assert WANTED <= names
    assert names <= WANTED | {"generate", "generate_clip", "models", "labels", "influence", "toy_paths",
                              "solver_strips", "steps_against_error"}  # fmt: skip


def test_a_picture_is_answered_as_a_picture(tools):
    _, (answer,) = tools(("draw", {"label": "red heart", "seed": 3}))
    picture = next(part for part in answer.content if part.type == "image")
    assert not answer.isError
    assert Image.open(io.BytesIO(base64.b64decode(picture.data))).size == (16, 16)


def test_an_order_is_answered_and_a_wrong_value_is_one_sentence(tools):
    good = {"scheme": "zigzag-8", "height": 2, "width": 2}
    _, (order, wrong) = tools(("scan_order", good), ("scan_order", {**good, "scheme": "magic"}))
    assert not order.isError and "perm" in order.content[0].text
    assert wrong.isError and "magic" in wrong.content[0].text and "Traceback" not in wrong.content[0].text
