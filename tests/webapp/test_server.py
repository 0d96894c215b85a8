import socket

from webapp import server


async def nothing(scope, receive, send):
    """Answer nothing."""


def test_answers_do_not_wait_for_their_heads_to_be_acknowledged(monkeypatch):
    monkeypatch.setattr(server._Server, "run", lambda *_, **__: None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.serve(nothing, listener, on_exit=lambda: None)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
