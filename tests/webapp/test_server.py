import socket
import subprocess
import sys

from webapp.server import listen


def test_answers_do_not_wait_for_their_heads_to_be_acknowledged():
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_garbage_is_not_looked_for_in_what_stays_for_good():
    """Such a search holds up every answer: libraries leave hundreds of thousands of objects."""
    script = """
import gc, os, signal
from webapp.server import listen, serve

async def app(scope, receive, send):
    await receive()
    print(gc.get_freeze_count() > len(gc.get_objects()))
    await send({"type": "lifespan.startup.complete"})
    os.kill(os.getpid(), signal.SIGTERM)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

serve(app, listen("127.0.0.1", 0), on_exit=lambda: None)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\n"
