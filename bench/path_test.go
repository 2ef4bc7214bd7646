package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mifvif/lab"
)

// turns is how often direct and mif0 alternate.
const turns = 3

const port = "5201"

// load is one kind of traffic.
type load struct {
	name string
	args []string
}

func loads() []load {
	return []load{
		{"tcp1-up", nil},
		{"tcp1-down", []string{"-R"}},
		{"tcp8-up", []string{"-P", "8"}},
		{"tcp8-down", []string{"-P", "8", "-R"}},
	}
}

// BenchmarkPath prints for each load the direct route's rate, mif0's, their
// ratio, and the daemon's CPU seconds per gigabyte.
func BenchmarkPath(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("the lab makes network namespaces, which needs root")
	}
	if _, err := exec.LookPath("iperf3"); err != nil {
		b.Skip("iperf3 is not installed")
	}
	binary, err := lab.Binary(b.Context(), b.TempDir(), false)
	if err != nil {
		b.Fatal(err)
	}
	for _, cc := range []string{"cubic", "bbr"} {
		for _, l := range loads() {
			b.Run(cc+"/"+l.name, func(b *testing.B) {
				for b.Loop() {
					measure(b, binary, cc, l)
				}
			})
		}
	}
}

// measure runs one load in a world of its own.
func measure(b *testing.B, binary, cc string, l load) {
	b.Helper()
	layout := lab.TwoNetworks()
	layout.Congestion = cc
	world, err := lab.NewCommon(layout, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer world.Close()
	server, err := world.Core.Start(exec.Command("iperf3", "-s", "-p", port))
	if err != nil {
		b.Fatal(err)
	}
	defer server.Kill()
	daemon, err := world.Host.StartDaemon(b.Context(), binary, "rules:\n  - {name: iperf, match: {port: ["+port+"]}, require: [e1]}\n")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = daemon.Stop(context.Background()) }()
	time.Sleep(200 * time.Millisecond)

	own := world.Network("n1").Host4().String()
	var direct, through, perGB []float64
	for range turns {
		rate, _ := iperf(b, world, cc, append([]string{"-B", own}, l.args...))
		direct = append(direct, rate)
		before := cpu(b, daemon.Pid())
		rate, bytes := iperf(b, world, cc, l.args)
		through = append(through, rate)
		perGB = append(perGB, (cpu(b, daemon.Pid())-before)/(bytes/1e9))
	}
	b.ReportMetric(median(direct)/1e9, "direct-Gbit/s")
	b.ReportMetric(median(through)/1e9, "mif0-Gbit/s")
	b.ReportMetric(median(through)/median(direct), "ratio")
	b.ReportMetric(median(perGB), "CPU-s/GB")
	b.ReportMetric(0, "ns/op") // the run's own length says nothing
}

// iperf runs two seconds of load and returns what the receiver got: bits per
// second and bytes.
func iperf(b *testing.B, world *lab.Common, cc string, args []string) (rate, bytes float64) {
	b.Helper()
	all := append([]string{"-c", lab.Public4().String(), "-p", port, "-t", "2", "-C", cc, "--json"}, args...)
	exit, err := world.Host.Exec(b.Context(), "iperf3", all...)
	if err != nil || exit.Code != 0 {
		b.Fatalf("iperf3 %v: %v %v", args, exit, err)
	}
	var result struct {
		End struct {
			Received struct {
				Bits  float64 `json:"bits_per_second"`
				Bytes float64 `json:"bytes"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(exit.Stdout), &result); err != nil {
		b.Fatalf("iperf3 %v: %v", args, err)
	}
	return result.End.Received.Bits, result.End.Received.Bytes
}

// cpu returns the seconds of user and system time a process has used.
func cpu(b *testing.B, pid int) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the name, which may hold blanks
	fields := strings.Fields(rest)
	const user, system, ticks = 11, 12, 100
	u, _ := strconv.ParseFloat(fields[user], 64)
	s, _ := strconv.ParseFloat(fields[system], 64)
	return (u + s) / ticks
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}
