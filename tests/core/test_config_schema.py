import pytest

from reconflow.config import config_from_tree
from reconflow.config_schema import config_schema
from reconflow.errors import ConfigError

DEFINITIONS = config_schema()["$defs"]
LIMITS = [
    (section, option, limit, limit + (1 if way == "maximum" else -1))
    for section, where in DEFINITIONS["PipelineConfig"]["properties"].items()
    for option, said in DEFINITIONS[where["$ref"].rpartition("/")[2]]["properties"].items()
    for way in ("minimum", "maximum")
    if (limit := said.get(way)) is not None
]


def test_limits_of_every_section_that_has_some_are_told():
    assert {section for section, *_ in LIMITS} == set(DEFINITIONS["PipelineConfig"]["properties"])
    assert len(LIMITS) > 40


def test_no_number_that_a_job_may_be_told_is_without_limits():
    for name in set(DEFINITIONS) - {"PipelineConfig", "ExecutionConfig"}:
        for option, said in DEFINITIONS[name]["properties"].items():
            if said.get("type") in ("integer", "number"):
                assert {"minimum", "maximum"} <= set(said), f"{name}.{option}"


def test_what_is_no_number_is_within_no_limits():
    with pytest.raises(ConfigError, match=r"match\.ratio must be 0\.1 to 1\.0, got nan"):
        config_from_tree({"match": {"ratio": float("nan")}})


@pytest.mark.parametrize(("section", "option", "limit", "beyond"), LIMITS)
def test_a_limit_that_is_told_is_the_one_that_holds(section, option, limit, beyond):
    beside = {"partners_cap": {"partners_floor": 0}, "partners_floor": {"partners_cap": 1000}}  # the floor is lower
    config_from_tree({section: {option: limit, **beside.get(option, {})}})
    with pytest.raises(ConfigError, match=option):
        config_from_tree({section: {option: beyond}})
