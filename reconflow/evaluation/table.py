"""A score as a table for people."""

from rich import box
from rich.table import Table
from rich.text import Text

from reconflow.evaluation.imc2025 import DatasetScore, SceneScore, Score
from reconflow.evaluation.pose_error import AUC_DEGREES


def render(score: Score) -> Table:
    """Return a table with a line per scene, per dataset and one for the whole."""
    table = Table(
        title="IMC2025 score",
        title_justify="left",
        caption_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    # Names give way first: in a terminal of 80 columns every figure stays readable.
    table.add_column("Scene → cluster", overflow="fold")
    limits = " ".join(str(limit) for limit in AUC_DEGREES)
    for name in ("Posed", "mAA", "Clust.", "Score", f"AUC {limits}°", "Rot.", "Centre"):
        table.add_column(name, justify="right", no_wrap=True)
    for dataset in score.datasets:
        for scene in dataset.scenes:
            table.add_row(*_scene_cells(scene))
        table.add_row(*_dataset_cells(dataset), style="bold", end_section=True)
    totals = (_percent(score.mAA), _percent(score.clusterness), _percent(score.final))
    table.add_row("Final", "", *totals, "", "", "", style="bold green")
    table.caption = "Scores in percent; rotation and centre: medians after alignment, centre in the truth's unit."
    return table


def _scene_cells(scene: SceneScore) -> tuple[Text | str, ...]:
    precision = scene.common / scene.cluster_size if scene.cluster_size else 0.0
    cluster = "" if scene.cluster == scene.scene else f" → {scene.cluster}"
    return (
        Text(f"  {scene.scene} → none", style="red") if scene.cluster is None else Text(f"  {scene.scene}{cluster}"),
        f"{scene.registered}/{scene.images}",
        _percent(scene.mAA),
        _percent(precision),
        "",
        " ".join(f"{100 * scene.pose_auc[limit]:.0f}" for limit in AUC_DEGREES),
        "–" if scene.median_rotation_error_deg is None else f"{scene.median_rotation_error_deg:.2f}°",
        "–" if scene.median_center_error is None else f"{scene.median_center_error:.2g}",
    )


def _dataset_cells(dataset: DatasetScore) -> tuple[Text | str, ...]:
    strays = f" ({dataset.outliers_in_a_cluster} of {dataset.outliers} outliers in)" if dataset.outliers else ""
    return (
        Text(f"{dataset.dataset}{strays}"),
        f"{sum(scene.registered for scene in dataset.scenes)}/{sum(scene.images for scene in dataset.scenes)}",
        _percent(dataset.mAA),
        _percent(dataset.clusterness),
        _percent(dataset.score),
        "",
        "",
        "",
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
