"""The measures of the published benchmark beside ours, and the report that has both."""
