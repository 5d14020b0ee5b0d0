"""What only the user can say of a study: one table, from which the checklist asks and the form is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question to the user.

    Attributes:
        key: Under which it is answered: in the form, in the recipe of the runs, or as a column of a table.
        number: The item of the checklist that it belongs to.
        text: The question.
        also: Other keys under which a recipe may say it.
    """

    key: str
    number: int
    text: str
    also: tuple[str, ...] = ()


QUESTIONS: dict[str, Question] = {
    question.key: question
    for question in (
        Question("metric", 2, "Which loss is L?"),
        Question("loss_unit", 2, "In which unit is the loss, such as nats per token?"),
        Question("corpus", 8, "Which corpus are the models trained on?", ("data", "dataset", "train_data")),
        Question("unique_tokens", 8, "How many unique tokens does it hold?"),
        Question("params_kind", 9, "Does N count embeddings and the output layer?"),
        Question("optimizer", 11, "Which optimiser, with which settings?", ("optimiser",)),
        Question("tuning", 11, "Were hyperparameters swept or fixed, and how do they carry over between sizes?"),
        Question("architecture", 12, "Which family of models, with which shapes?", ("model_type",)),
        Question("tokenizer", 13, "Which tokenizer?"),
        Question("precision", 13, "In which precision is it trained?", ("dtype",)),
        Question("seeds", 13, "Which seeds?"),
        Question("hardware", 13, "On which hardware?"),
        Question("code_version", 13, "Which version of the code?", ("commit",)),
        Question("code_url", 14, "Where is the training code?"),
        Question("checkpoints_url", 15, "Where are the checkpoints?"),
        Question("averaging", 16, "Were weights averaged or otherwise changed before they were evaluated?", ("ema",)),
        Question("evaluation_code_url", 17, "Where is the code that modifies or evaluates them?"),
        Question(
            "evaluation",
            19,
            "On which data is the loss measured, and are they held out?",
            ("eval_data", "validation_data"),
        ),
        Question("points_url", 20, "May the points be released, and where?"),
        Question("left_out", 25, "Which runs were left out by hand before they came here, and why?"),
        Question("acceptance", 26, "Which error would have made you reject this law?"),
    )
}
"""Every question, by its key."""
