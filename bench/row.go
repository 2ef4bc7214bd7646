package bench

import (
	"context"
	"slices"
)

// Row is one kind of work and how it is measured.
type Row struct {
	ID         string
	Title      string
	Unit       string
	Congestion string // cubic or bbr; "" where no TCP is measured: cubic
	// Less: a small value is good.
	Less bool
	// Turns overrides the run's number of turns, 0 does not.
	Turns int
	// Alone: only mif0 has a value.
	Alone bool
	// TCP of the host or of its LAN: Offload has a value, too.
	TCP bool
	// Layout is the world, "" the usual one. Rows of one Layout share it.
	Layout string
	// Fresh: the row wants worlds of its own.
	Fresh   bool
	measure func(ctx context.Context, s *system) (sample, error)
}

// measures says whether a system has a value.
func (r Row) measures(system string) bool {
	switch {
	case r.Alone:
		return system == Mif0
	case system == Offload:
		return r.TCP
	}
	return true
}

// sample is one measurement.
type sample struct {
	value float64
	bytes float64            // carried, 0 where nobody counts
	extra map[string]float64 // by name and unit, such as "p99 us"
}

// Rows returns all rows in the order of the table.
func Rows() []Row {
	return slices.Concat(tcpRows(), udpRows(), smallRows(), []Row{cachedRow()}, lossRows(), memoryRows(), []Row{floodRow()})
}
