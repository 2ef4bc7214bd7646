package main

import (
	"testing"

	"mifvif/config"
	"mifvif/control"
)

func TestAReachedLimitIsSaid(t *testing.T) {
	limits := config.Limits{TCPFlows: 4, UDPFlows: 4}
	for n, want := range map[control.Counts]int{
		{}: 0, {TCP: 3, UDP: 2, ICMP: 1}: 0, {TCP: 4}: 1, {UDP: 4}: 1, {UDP: 3, ICMP: 1}: 1, {TCP: 4, UDP: 5}: 2,
	} {
		if got := crowded(n, limits); len(got) != want {
			t.Errorf("%+v: %q, want %d warnings", n, got, want)
		}
	}
}
