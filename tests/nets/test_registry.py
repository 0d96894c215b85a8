import itertools

import pytest

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.errors import ConfigError
from reconflow.nets.registry import EXTRACTORS, MATCHERS, create_extractor, create_matcher


def test_the_defaults_exist():
    assert create_extractor(ExtractConfig().extractor).name == ExtractConfig().extractor
    assert create_matcher(MatchConfig().matcher).name == MatchConfig().matcher


@pytest.mark.parametrize(("extractor", "matcher"), list(itertools.product(EXTRACTORS, MATCHERS)))
def test_every_matcher_has_a_level_for_every_extractor(extractor, matcher):
    assert create_matcher(matcher, extractor=extractor).acceptance_inliers > 0


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="unknown extractor 'sitf': choose one of"):
        create_extractor("sitf")
    with pytest.raises(ConfigError, match="unknown matcher 'lowe': choose one of adalam, ratio"):
        create_matcher("lowe")
    with pytest.raises(ConfigError, match="unknown extractor 'surf'"):
        create_matcher("ratio", extractor="surf")
