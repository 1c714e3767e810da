"""Leads an update through its states: the engine, what is done in each state, and the ports it needs."""
