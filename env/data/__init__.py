"""Datasets: built-in, data packs, and files beside a bug."""

from netmend.env.data.built_in import BUILT_IN
from netmend.env.data.dataset import Dataset, Part, Rows, make_dataset
from netmend.env.data.loading import PACKS, dataset_names, load_dataset

__all__ = ["BUILT_IN", "PACKS", "Dataset", "Part", "Rows", "dataset_names", "load_dataset", "make_dataset"]
