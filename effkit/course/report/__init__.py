"""What a teacher should know of a graded lab: a page to read, and tables for spreadsheets, Canvas and Moodle."""
