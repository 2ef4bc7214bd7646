package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mifvif/lab"
)

// received is what the receiver of an iperf3 run got.
type received struct {
	bits, bytes float64 // per second; in all
	packets     float64 // per second, of UDP
	loss        float64 // share, of UDP
}

// iperf runs iperf3 in a node against the public server. A run that the server
// was too busy for is tried again.
func iperf(ctx context.Context, from *lab.Node, args ...string) (received, error) {
	var last error
	for range 3 {
		r, err := iperfOnce(ctx, from, args)
		if err == nil {
			return r, nil
		}
		last = err
		time.Sleep(500 * time.Millisecond)
	}
	return received{}, last
}

func iperfOnce(ctx context.Context, from *lab.Node, args []string) (received, error) {
	all := append([]string{"-c", lab.Public4().String(), "-p", strconv.Itoa(iperfPort), "--json", "--connect-timeout", "3000"}, args...)
	exit, err := from.Exec(ctx, "iperf3", all...)
	if err != nil {
		return received{}, fmt.Errorf("run iperf3 (apt-get install iperf3): %w", err)
	}
	var result struct {
		Error string `json:"error"`
		End   struct {
			Received sum `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(exit.Stdout), &result); err != nil {
		return received{}, fmt.Errorf("iperf3 %s: %w in %v", strings.Join(args, " "), err, exit)
	}
	got := result.End.Received
	switch {
	case result.Error != "":
		return received{}, fmt.Errorf("iperf3 %s: %s", strings.Join(args, " "), result.Error)
	case got.Bits == 0 || got.Seconds == 0:
		return received{}, errors.New("iperf3 " + strings.Join(args, " ") + ": nothing was received")
	}
	r := received{bits: got.Bits, bytes: got.Bytes}
	if got.Packets > 0 {
		r.packets, r.loss = (got.Packets-got.Lost)/got.Seconds, got.Lost/got.Packets
	}
	return r, nil
}

// sum is iperf3's summary of one side.
type sum struct {
	Bits    float64 `json:"bits_per_second"`
	Bytes   float64 `json:"bytes"`
	Seconds float64 `json:"seconds"`
	Packets float64 `json:"packets"`
	Lost    float64 `json:"lost_packets"`
}

// lossy is a wire with a round trip of 40 ms that loses one packet in a hundred.
func lossy(seed uint64) *lab.WireConfig {
	return &lab.WireConfig{Delay: 20 * time.Millisecond, Loss: 0.01, Seed: seed}
}
