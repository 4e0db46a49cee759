"""Reviews of research, kept as files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class ReviewDecision:
    """What a reviewer decided, as it is kept."""

    review_id: str
    reviewer: str
    is_approved: bool
    comments: str = ""


class ReviewStore:
    """Decisions in a folder, one JSON file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create_review(self, review_id: str, summary: str) -> Path:
        """Begin a review; its file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{review_id}.json"
        path.write_text(json.dumps({"summary": summary, "decision": None}), encoding="utf-8")
        return path

    def submit_decision(self, decision: ReviewDecision) -> None:
        """End a review."""
        path = self._folder / f"{decision.review_id}.json"
        review = json.loads(path.read_text(encoding="utf-8"))
        review["decision"] = asdict(decision)
        path.write_text(json.dumps(review), encoding="utf-8")
