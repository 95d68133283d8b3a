"""One stand-in for Colab for all notebooks: it takes a while to make."""

import pytest

import effkit
from tests.notebooks.colab_stand_in import Colab
from tests.notebooks.committed import REPOSITORY, ROOT


@pytest.fixture(scope="session")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Colab:
    return Colab(tmp_path_factory.mktemp("colab"), ROOT, REPOSITORY, f"v{effkit.__version__}")
