from reconflow.core.pairs import all_pairs
from reconflow.stages.turns import Vote, pairs_to_turn, settled_quarters

GROUPS = [[0, 1, 2, 3, 4, 5], [6, 7], [8], [9]]


def groups_of(pairs):
    number = {photo: place for place, group in enumerate(GROUPS) for photo in group}
    return [(number[a], number[b]) for a, b in pairs]


def test_the_smaller_group_is_turned_and_a_few_pairs_tell():
    found = groups_of(pairs_to_turn(GROUPS, all_pairs(10)))
    assert {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)} == set(found)  # two single photos have no group to ask
    assert found.count((0, 1)) == 8  # of twelve
    assert found.count((1, 2)) == 2


def test_pairs_are_spread_over_both_groups():
    tried = [pair for pair in pairs_to_turn(GROUPS, all_pairs(10)) if set(pair) <= {0, 1, 2, 3, 4, 5, 6, 7}]
    assert {b for _, b in tried} == {6, 7}
    assert len({a for a, _ in tried}) >= 4


def test_two_photos_stand_for_a_group_that_is_turned():
    groups = [list(range(8)), list(range(8, 14))]
    busiest = [(a, b) for a, b in all_pairs(14) if b not in {8, 9, 10} or a < 2]
    tried = [(a, b) for a, b in pairs_to_turn(groups, busiest)]
    assert {b for _, b in tried} == {11, 12}
    assert len(tried) == 8


def test_only_pairs_that_were_matched_are_tried_again():
    assert pairs_to_turn(GROUPS, [(0, 1), (2, 8)]) == [(2, 8)]
    assert pairs_to_turn([[0, 1, 2]], all_pairs(3)) == []


def test_turns_add_up_along_the_strongest_votes():
    votes = [Vote(0, 1, 1, 100), Vote(1, 2, 3, 80), Vote(0, 2, 2, 20)]
    assert settled_quarters(4, votes) == [0, 1, 0, 0]


def test_a_group_reached_from_its_turned_side_is_turned_back():
    assert settled_quarters(3, [Vote(0, 2, 1, 50), Vote(1, 2, 3, 40)]) == [0, 2, 1]
