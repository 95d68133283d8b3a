"""Running a class: building the notebooks, grading what comes back."""
