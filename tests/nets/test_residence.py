import threading
import weakref

import pytest

from reconflow.nets.residence import Residence


class Model:
    pass


def test_a_model_is_made_once_though_threads_ask_for_it_at_the_same_time():
    made, barrier, residence = [], threading.Barrier(4), Residence()

    def make():
        made.append(Model())
        return made[-1]

    def ask():
        barrier.wait()
        residence.get("aliked", make)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_the_model_used_longest_ago_makes_room():
    residence = Residence(most=2)
    first = weakref.ref(residence.get("a", Model))
    second = weakref.ref(residence.get("b", Model))
    residence.get("a", Model)
    residence.get("c", Model)
    assert first() is not None
    assert second() is None


def test_room_is_made_before_the_next_model_is_loaded():
    residence = Residence(most=1)
    first = weakref.ref(residence.get("a", Model))
    residence.get("b", lambda: Model() if first() is None else pytest.fail("both are loaded"))


def test_without_a_limit_all_stay_until_they_are_cleared():
    residence = Residence()
    models = [weakref.ref(residence.get(name, Model)) for name in "abc"]
    assert all(model() is not None for model in models)
    residence.clear()
    assert all(model() is None for model in models)
