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


@pytest.mark.parametrize(("section", "option", "limit", "beyond"), LIMITS)
def test_a_limit_that_is_told_is_the_one_that_holds(section, option, limit, beyond):
    floor = {"partners_floor": 0} if option == "partners_cap" else {}  # the cap must not lie below it
    config_from_tree({section: {option: limit, **floor}})
    with pytest.raises(ConfigError, match=option):
        config_from_tree({section: {option: beyond}})
