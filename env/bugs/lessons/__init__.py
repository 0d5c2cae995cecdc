"""Lessons: an endless supply of mutants of drawn programs for training datasets, to teach a policy with."""

from netmend.env.bugs.lessons.drawing import draw_bases
from netmend.env.bugs.lessons.leaks import is_judged, training_datasets
from netmend.env.bugs.lessons.lessons import Lesson, draw_lessons, published_lessons
from netmend.env.bugs.lessons.teaching import LessonBase, improved, kept, make_bases

__all__ = [
    "Lesson",
    "LessonBase",
    "draw_bases",
    "draw_lessons",
    "improved",
    "is_judged",
    "kept",
    "make_bases",
    "published_lessons",
    "training_datasets",
]
