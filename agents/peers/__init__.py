"""What people use today: searches over hyper-parameters, as the study ICST 2023 compares them."""
