package bench

import (
	"context"
	"fmt"
	"strconv"
)

// udpRows are floods and the highest rate that loses nothing, by iperf3.
func udpRows() []Row {
	flood := func(size int, way string, args ...string) Row {
		return Row{
			ID: fmt.Sprintf("udp-flood-%d-%s", size, way), Title: fmt.Sprintf("UDP flood %d B %s, delivered", size, way), Unit: "kpps",
			measure: func(ctx context.Context, s *system) (sample, error) {
				before, err := s.rss()
				if err != nil {
					return sample{}, err
				}
				r, err := iperf(ctx, s.world.Host, append([]string{"-u", "-b", "0", "-t", "2", "-l", strconv.Itoa(size)}, args...)...)
				if err != nil {
					return sample{}, err
				}
				after, err := s.rss()
				out := sample{value: r.packets / 1e3, bytes: r.bytes}
				if s.daemon != nil {
					out.extra = map[string]float64{"RSS growth MiB": (after - before) / (1 << 20)}
				}
				return out, err
			},
		}
	}
	return []Row{
		flood(1200, "up"), flood(1200, "down", "-R"),
		flood(64, "up"), flood(64, "down", "-R"),
		{ID: "udp-lossless", Title: "UDP 1200 B up, highest rate with less than 0.1 % loss", Unit: "kpps", measure: lossless},
	}
}

// lossless searches the highest rate of 1200-byte datagrams of which less than
// one in a thousand is lost.
func lossless(ctx context.Context, s *system) (sample, error) {
	const most = 0.001
	low, high := 0.0, 400_000.0 // datagrams per second
	var best float64
	for high-low > 4_000 {
		rate := (low + high) / 2
		r, err := iperf(ctx, s.world.Host, "-u", "-l", "1200", "-t", "1", "-b", strconv.Itoa(int(rate*1200*8)))
		if err != nil {
			return sample{}, err
		}
		if r.loss < most {
			best, low = max(best, r.packets), rate
			if r.packets < 0.9*rate { // the sender cannot do more
				break
			}
		} else {
			high = rate
		}
	}
	return sample{value: best / 1e3}, nil
}
