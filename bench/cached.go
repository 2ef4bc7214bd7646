package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cachedNames is how many names the question is about, all in every cache.
const cachedNames = 1000

// cachedRow measures answers from the cache beside other resolvers that serve the
// same namespace by the loopback: the same dnsperf asks each in turn, first as fast
// as it can, then half as fast as mif0 was, for what waiting is like.
func cachedRow() Row {
	return Row{
		ID: "dns-cached", Title: "DNS answers from the cache, dnsperf", Unit: "1/s", Alone: true, Fresh: true, Turns: 3,
		measure: func(ctx context.Context, s *system) (sample, error) {
			if err := s.world.AddRecords("n1", cachedRecords()...); err != nil {
				return sample{}, err //nolint:wrapcheck // says what and where
			}
			if err := s.world.Host.WriteFile("/run/queries", []byte(strings.Join(cachedQuestions(), "\n")+"\n")); err != nil {
				return sample{}, err //nolint:wrapcheck // says what and where
			}
			return s.cached(ctx)
		},
	}
}

func cachedRecords() []string {
	var all []string
	for i := range cachedNames {
		all = append(all, fmt.Sprintf("c%d.example.net. 3600 A 203.0.113.%d", i, i%200+1))
	}
	return all
}

func cachedQuestions() []string {
	var all []string
	for i := range cachedNames {
		all = append(all, fmt.Sprintf("c%d.example.net A", i))
	}
	return all
}

// rival is another resolver in the host.
type rival struct {
	name string
	port int
	args []string
}

func (s *system) rivals() []rival {
	upstream := s.world.Network("n1").Resolver4().String()
	const unbound, dnsmasq = 5301, 5302
	return []rival{
		{"unbound", unbound, []string{"-d", "-c", "/run/unbound.conf"}},
		{"dnsmasq", dnsmasq, []string{
			"--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=" + strconv.Itoa(dnsmasq), "--listen-address=127.0.0.1", "--bind-interfaces",
			"--no-resolv", "--no-hosts", "--server=" + upstream, "--cache-size=10000", "--dns-forward-max=1000",
		}},
	}
}

func (s *system) cached(ctx context.Context) (out sample, err error) {
	conf := "server:\n interface: 127.0.0.1@5301\n access-control: 127.0.0.0/8 allow\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n" +
		" do-daemonize: no\n use-syslog: no\n logfile: \"\"\n module-config: \"iterator\"\n num-threads: 1\n" +
		"forward-zone:\n name: \".\"\n forward-addr: " + s.world.Network("n1").Resolver4().String() + "\n" +
		"remote-control:\n control-enable: no\n"
	if err := s.world.Host.WriteFile("/run/unbound.conf", []byte(conf)); err != nil {
		return out, err //nolint:wrapcheck // says what and where
	}
	out.extra = make(map[string]float64)
	best := 0.0
	for _, r := range s.rivals() {
		path, err := exec.LookPath(r.name)
		if err != nil {
			return out, fmt.Errorf("%s is not installed: %w", r.name, err)
		}
		process, err := s.world.Host.Start(exec.Command(path, r.args...))
		if err != nil {
			return out, err //nolint:wrapcheck // says what and where
		}
		time.Sleep(500 * time.Millisecond)
		p, err := s.dnsperf(ctx, "127.0.0.1", r.port, 0)
		process.Kill()
		if err != nil {
			return out, fmt.Errorf("%s: %w", r.name, err)
		}
		best = max(best, p.rate)
		out.extra[r.name+" 1/s"], out.extra[r.name+" p99 us"] = p.rate, p.p99
	}
	p, err := s.dnsperf(ctx, "198.18.0.2", 53, 0)
	if err != nil {
		return out, err
	}
	out.value = p.rate
	out.extra["p99 us"], out.extra["of the better %"] = p.p99, 100*p.rate/best
	half, err := s.dnsperf(ctx, "198.18.0.2", 53, int(p.rate/2))
	out.extra["lost at half rate"], out.extra["p99 us at half rate"] = half.lost, half.p99
	return out, err
}

// perf is what one run of dnsperf found.
type perf struct{ rate, lost, p99 float64 }

// dnsperf fills the server's cache and then asks it for three seconds; limit is
// queries a second, 0: as many as can be.
func (s *system) dnsperf(ctx context.Context, server string, port, limit int) (perf, error) {
	run := func(args ...string) (string, error) {
		all := append([]string{"-s", server, "-p", strconv.Itoa(port), "-d", "/run/queries", "-c", "8", "-T", "1", "-q", "64"}, args...)
		exit, err := s.world.Host.Exec(ctx, "dnsperf", all...)
		if err != nil || exit.Code != 0 {
			return "", errors.Join(fmt.Errorf("dnsperf: %v", exit), err)
		}
		return exit.Stdout, nil
	}
	if _, err := run("-n", "1", "-Q", "5000"); err != nil {
		return perf{}, err
	}
	args := []string{"-l", "3"}
	if limit > 0 {
		args = append(args, "-Q", strconv.Itoa(limit))
	}
	text, err := run(args...)
	if err != nil {
		return perf{}, err
	}
	out := perf{rate: field(text, "Queries per second:"), lost: field(text, "Queries lost:")}
	// Saying every answer's time slows dnsperf down, so this is a run of its own.
	if text, err = run(append(args, "-l", "1", "-v")...); err != nil {
		return out, err
	}
	out.p99 = percentile99(text)
	return out, nil
}

// field returns the number behind a label.
func field(text, label string) float64 {
	_, rest, _ := strings.Cut(text, label)
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	number, _, _ = strings.Cut(number, "\n")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return -1
	}
	return f
}

// percentile99 reads the time of each answer, in microseconds.
func percentile99(text string) float64 {
	var times []float64
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != ">" {
			continue
		}
		if t, err := strconv.ParseFloat(words[len(words)-1], 64); err == nil {
			times = append(times, t*1e6)
		}
	}
	if len(times) == 0 {
		return -1
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}
