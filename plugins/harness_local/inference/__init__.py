"""Computing answers: many requests in shared forward passes, shared beginnings computed once."""
