package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"mifvif/lab"
)

const (
	iperfPort = "5201"
	iperfRule = "  - {name: iperf, match: {port: [5201]}, require: [e1]}\n"
)

// iperf drives iperf3 through mif0 in every way. How fast it is belongs to
// bench/, which has the machine for itself.
func iperf(ctx context.Context, e *Env) error {
	server, err := e.iperfServer()
	if err != nil {
		return err
	}
	defer server.Kill()
	for _, args := range [][]string{nil, {"-R"}, {"-P", "8"}, {"-P", "8", "-R"}} {
		if err := e.iperf3(ctx, lab.Public4(), args...); err != nil {
			return err
		}
	}
	if err := e.iperf3(ctx, lab.Public6()); err != nil {
		return err
	}
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		if err := e.iperf3(ctx, dst, "-u", "-b", "50M", "-l", "1200"); err != nil {
			return err
		}
	}
	return nil
}

// iperfServer starts iperf3 in the core and waits until it listens.
func (e *Env) iperfServer() (*lab.Process, error) {
	path, err := exec.LookPath("iperf3")
	if err != nil {
		return nil, &missingTool{"iperf3"}
	}
	server, err := e.Core.Start(exec.Command(path, "-s", "-p", iperfPort))
	if err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Millisecond)
	return server, nil
}

// iperf3 runs one second of load from the host with CUBIC. It is an error if
// nothing arrives.
func (e *Env) iperf3(ctx context.Context, dst netip.Addr, args ...string) error {
	all := append([]string{"-c", dst.String(), "-p", iperfPort, "-t", "1", "--json", "--connect-timeout", "5000"}, args...)
	udp := false
	for _, a := range args {
		udp = udp || a == "-u"
	}
	if !udp {
		all = append(all, "-C", "cubic")
	}
	for range 10 {
		exit, err := e.TryTool(ctx, "iperf3", all...)
		if err != nil {
			return err
		}
		var result iperfResult
		if err := json.Unmarshal([]byte(exit.Stdout), &result); err != nil {
			return fmt.Errorf("iperf3 %v: %w", args, err)
		}
		switch {
		case strings.Contains(result.Error, "busy"), // with the end of the run before
			strings.Contains(result.Error, "refused"): // it does not listen yet
			time.Sleep(200 * time.Millisecond)
		case result.Error != "":
			return fmt.Errorf("iperf3 %v: %s", args, result.Error)
		case max(result.End.Received.Bits, result.End.Sum.Bits) == 0:
			return fmt.Errorf("iperf3 %v carried nothing", args)
		default:
			return nil
		}
	}
	return fmt.Errorf("iperf3 %v: the server stays busy", args)
}

// iperfResult is what of iperf3's JSON is read.
type iperfResult struct {
	Error string `json:"error"`
	End   struct {
		Received rate `json:"sum_received"`
		Sum      rate `json:"sum"` // of UDP
	} `json:"end"`
}

type rate struct {
	Bits float64 `json:"bits_per_second"`
}
