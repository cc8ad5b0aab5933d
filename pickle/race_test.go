//go:build race

package pickle

// raceEnabled says that the race detector multiplies time and memory.
const raceEnabled = true
