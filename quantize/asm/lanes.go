package main

func (v isa) lanes() {}
