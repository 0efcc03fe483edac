"""All that calibration was told by hand: chosen on other drawings and simulated checkpoints than
those that are reported. Scores and distances are in units of the scale, shares are of all pictures.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Constants:
    # Texts this near to each other on average lie far from pictures, those below it less so.
    gap_from: float = 0.05
    gap_to: float = 0.30
    # The spread of photos' scores against that of blanks', without a gap and with one: demo's
    # blanks differ more than its drawings, those of published encoders less.
    scale: float = 0.8
    scale_with_gap: float = 1.2
    # The library's say about the scale, and its bounds: foreign pictures widen it by a third.
    scale_weight: float = 0.65
    scale_bound: float = 1.25
    enough_judges: int = 20  # tags of whose scores a picture's spread can be said
    most_judges: int = 256  # of them, evenly: more say the same, and take time
    # A picture's own spread counts by this power: some are busier than others.
    own_spread: float = 0.3
    # Less than this is explained by anything.
    penalty: float = 1.5
    # Two tags nearer than this have credit for what the other explains: from none to all of it.
    alike_from: float = 0.4
    alike_to: float = 0.7
    # Tags of the checkpoint compete where a vocabulary has fewer than this, but not those that
    # are nearly a tag of it.
    enough_tags: int = 580
    same: float = 0.9
    # What has the best F1 where 3% have the tag; how fast odds rise with the score.
    threshold: float = 2.6
    steepness: float = 4.5
    # A tag's share: before any picture was seen, for how many pictures that counts, its bounds.
    share: float = 0.03
    share_weight: float = 300.0
    least_share: float = 0.003
    most_share: float = 0.25
    # A picture is refused where the best tag falls this short of the likeness to blanks.
    blank_weight: float = 2.2
    blank_sharpness: float = 24.0  # of the blend of blanks that is most like a picture
    refused: float = -18.4
    few: int = 10  # distinct pictures say nothing yet
    many: int = 60  # photos should be more than a few distinct ones


CONSTANTS = Constants()
