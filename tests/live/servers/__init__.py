"""Real servers as tests use them: started on free ports, stopped in every way, ended by their process ids."""
