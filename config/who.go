package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mifvif/scheduler"
)

// patterns parses names, and patterns of names.
func (r *reader) patterns(at string, v any) []string {
	list := r.scalars(at, "name", v)
	for _, s := range list {
		if _, err := path.Match(s, ""); err != nil || !validName(regexp.MustCompile(`[*?]`).ReplaceAllString(s, "x")) {
			r.at(at, "name: %q is no name and no pattern (such as www.example.com or *.example.com)", s)
		}
	}
	return list
}

// ingress parses interfaces of LANs.
func (r *reader) ingress(at string, v any) []string {
	list := r.scalars(at, "ingress", v)
	for _, s := range list {
		if !validInterface(s) {
			r.at(at, "ingress: %q is no interface name (one of router.lans)", s)
		}
	}
	return list
}

// users parses users by name or number.
func (r *reader) users(at string, v any) []uint32 {
	var out []uint32
	for _, s := range r.scalars(at, "user", v) {
		n, err := LookupUser(s)
		if err != nil {
			r.at(at, "user: there is no user %q on this host (a name or a number)", s)
			continue
		}
		out = append(out, n)
	}
	return out
}

// maxComm is what the kernel keeps of a process's name.
const maxComm = 15

// processes parses names of processes.
func (r *reader) processes(at string, v any) []string {
	list := r.scalars(at, "process", v)
	for i, s := range list {
		if s == "" || strings.Contains(s, "/") {
			r.at(at, "process: %q is no name of a process (as in /proc/PID/comm, such as firefox)", s)
		}
		list[i] = s[:min(len(s), maxComm)]
	}
	return list
}

// cgroups parses paths in the unified hierarchy.
func (r *reader) cgroups(at string, v any) []string {
	list := r.scalars(at, "cgroup", v)
	for _, s := range list {
		if strings.Trim(s, "/") == "" || path.Clean("/"+s) != "/"+strings.Trim(s, "/") {
			r.at(at, "cgroup: %q is no group below the root (a path such as /system.slice/backup.service)", s)
		}
	}
	return list
}

// windows parses times of the week: "mon-fri 08:00-18:00", "sat,sun" or
// "22:00-06:00".
func (r *reader) windows(at string, v any) []scheduler.Window {
	var out []scheduler.Window
	for _, s := range r.scalars(at, "when", v) {
		w, ok := window(strings.ToLower(s))
		if !ok {
			r.at(at, "when: %q is no time (such as 22:00-06:00, mon-fri 08:00-18:00 or sat,sun)", s)
			continue
		}
		out = append(out, w)
	}
	return out
}

func window(s string) (scheduler.Window, bool) {
	days, hours, both := strings.Cut(strings.TrimSpace(s), " ")
	if !both && strings.Contains(days, ":") {
		days, hours = "sun-sat", days
	}
	w := scheduler.Window{}
	for d := range strings.SplitSeq(days, ",") {
		first, last, ranged := strings.Cut(d, "-")
		if !ranged {
			last = first
		}
		a, b := weekday(first), weekday(last)
		if a < 0 || b < 0 {
			return w, false
		}
		for i := a; ; i = (i + 1) % 7 {
			w.Days[i] = true
			if i == b {
				break
			}
		}
	}
	if hours == "" {
		return w, !both
	}
	first, last, ranged := strings.Cut(strings.TrimSpace(hours), "-")
	a, errA := time.Parse("15:04", first)
	b, errB := time.Parse("15:04", last)
	w.First, w.Last = a.Hour()*60+a.Minute(), b.Hour()*60+b.Minute()
	return w, ranged && errA == nil && errB == nil
}

// weekday returns the day, -1 if the word is none.
func weekday(s string) int {
	return slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, s)
}

// units are the words behind an amount.
type units []struct {
	name string
	size float64
}

// rates are in bits per second, sizes in bytes. A rate needs its unit: who writes
// 100 does not mean bits.
func rates() units {
	return units{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
}

func sizes() units {
	return units{{"tib", 1 << 40}, {"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10}, {"tb", 1e12}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"b", 1}, {"", 1}}
}

// amount parses a number with a unit, above 0; nil is 0.
func (r *reader) amount(at, key string, v any, u units, such string) uint64 {
	if v == nil {
		return 0
	}
	text := strings.ToLower(strings.TrimSpace(fmt.Sprint(v)))
	for _, unit := range u {
		if number, ok := strings.CutSuffix(text, unit.name); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err != nil || !(n*unit.size >= 1 && n*unit.size <= 1<<60) {
				break
			}
			return uint64(n * unit.size)
		}
	}
	r.at(at, "%s: %v is no amount (such as %s)", key, v, such)
	return 0
}
