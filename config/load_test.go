package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/scheduler"
)

func TestDefaultsAreWhatAnEmptyFileMeans(t *testing.T) {
	for name, content := range map[string]string{"printed defaults": Defaults(), "empty file": "", "comment": "# nothing\n"} {
		got, err := Parse("f.yaml", []byte(content))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(Default(), got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s differ from Default():\n%s", name, diff)
		}
	}
}

func TestRulesAreTyped(t *testing.T) {
	cfg, err := Parse("f.yaml", []byte(`
router: {lans: [lan0]}
pvds:
  - {name: fiber, interface: eth0, weight: 3, internet: true, bandwidth: {down: 100mbit, up: 2.5Mbit}, cap: {bytes: 50GB, reset_day: 15, on_reached: stop}, dns: {servers: [192.0.2.53, "[2001:db8::53]:5353"]}}
rules:
  - name: voice
    match: {dscp: [ef, 10, cs1], proto: [udp, tcp], port: [5060, 10000-20000], dst: [192.0.2.0/24, 198.51.100.7]}
    prefer: [fiber, lte]
    algorithm: priority
    affinity: none
    on_failure: reset
    on_recovery: move-idle
    recovery_deadline: 90s
    mptcp: require
  - name: office
    match: {name: ["*.corp.example"], ingress: lan0, when: ["mon-fri 08:00-18:00", sat, "22:00-06:00"]}
    prefer: [fiber]
  - {name: who, match: {user: [root, 4711], process: [a-very-long-process-name], cgroup: system.slice}, prefer: [lte]}
  - {name: keep, match: {src: [10.0.0.0/8]}, require: [fiber], locked: true}
  - {name: bulk, match: {port: 873}, path: translate, mptcp: off}
  - {name: mail, match: {port: 25}, path: auto}
defaults: {path: terminate}
`))
	if err != nil {
		t.Fatal(err)
	}
	r := cfg.Policy.Rules[0]
	if diff := cmp.Diff([]scheduler.MPTCP{scheduler.MultipathRequire, scheduler.MultipathInherit}, []scheduler.MPTCP{r.MPTCP, cfg.Policy.Rules[1].MPTCP}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]uint8{46, 10, 8}, r.Match.DSCP); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]scheduler.PortRange{{First: 5060, Last: 5060}, {First: 10000, Last: 20000}}, r.Match.Ports); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]flow.Proto{flow.UDP, flow.TCP}, r.Match.Protos); diff != "" {
		t.Error(diff)
	}
	if len(r.Match.Dst) != 2 || r.Match.Dst[1].Bits() != 32 || r.Algorithm != scheduler.Priority ||
		r.Affinity != scheduler.AffinityNone || r.OnFailure != scheduler.FailReset ||
		r.OnRecovery != scheduler.RecoverMoveIdle || r.RecoveryDeadline != 90*time.Second || r.Actor != scheduler.Admin {
		t.Errorf("rule is %+v", r)
	}
	weekdays, sat, always := [7]bool{false, true, true, true, true, true}, [7]bool{6: true}, [7]bool{true, true, true, true, true, true, true}
	want := scheduler.Match{
		Names: []string{"*.corp.example"}, Ingress: []string{"lan0"},
		When: []scheduler.Window{{Days: weekdays, First: 480, Last: 1080}, {Days: sat}, {Days: always, First: 1320, Last: 360}},
	}
	if diff := cmp.Diff(want, cfg.Policy.Rules[1].Match, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	want = scheduler.Match{Users: []uint32{0, 4711}, Processes: []string{"a-very-long-pro"}, Cgroups: []string{"system.slice"}}
	if diff := cmp.Diff(want, cfg.Policy.Rules[2].Match, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(pvd.Bandwidth{Down: 100e6, Up: 2500e3}, cfg.PvDs[0].Bandwidth); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(pvd.Cap{Bytes: 50e9, ResetDay: 15, Stop: true}, cfg.PvDs[0].Cap); diff != "" {
		t.Error(diff)
	}
	paths := []scheduler.Path{cfg.Policy.Path}
	for _, r := range cfg.Policy.Rules[3:] {
		paths = append(paths, r.Path)
	}
	if diff := cmp.Diff([]scheduler.Path{scheduler.PathTerminate, scheduler.PathInherit, scheduler.PathTranslate, scheduler.PathAuto}, paths); diff != "" {
		t.Error(diff)
	}
	if cfg.Policy.Rules[3].Actor != scheduler.Locked {
		t.Error("a locked rule is not the locked actor's")
	}
	if s := cfg.PvDs[0].Servers; len(s) != 2 || s[0].Port() != 53 || s[1].Port() != 5353 {
		t.Errorf("servers are %v", s)
	}
}

// TestADomainIsOnTheInterfaceOfItsName unless an entry says otherwise or its name
// is a PvD id.
func TestADomainIsOnTheInterfaceOfItsName(t *testing.T) {
	cfg, err := Parse("f.yaml", []byte("pvds:\n  - {name: wlan0, weight: 3}\n  - {name: lte, interface: wwan0}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cfg.PvDs; d[0].Interface != "wlan0" || d[1].Interface != "wwan0" {
		t.Errorf("%+v", d)
	}
}

// TestEveryMistakeHasItsPlace: what is wrong, where it is, and what is allowed.
func TestEveryMistakeHasItsPlace(t *testing.T) {
	tests := map[string]struct {
		content string
		want    []string // beginnings of the problems' first lines
	}{
		"unknown dhcp":          {"pvds:\n  - {name: a, interface: e1, dhcp: clinet}\n", []string{`f.yaml:2:36: unknown dhcp "clinet", did you mean "client"? (inform, client, off)`}},
		"unknown key":           {"interfase:\n  name: x\n", []string{`f.yaml:1:1: unknown key "interfase", did you mean "interface"? (interface, dns, router,`}},
		"unknown inner key":     {"rules:\n  - name: a\n    requires: [x]\n", []string{`f.yaml:3:5: unknown key "requires", did you mean "require"? (name, match, require,`}},
		"misplaced key":         {"defaults: {mptcp: auto}\n", []string{`f.yaml:1:12: unknown key "mptcp" here: it belongs to another part of the configuration (algorithm, affinity, on_failure, on_recovery, path)`}},
		"wrong type":            {"interface:\n  default_route: maybe\n", []string{`f.yaml:2:18: default_route cannot be "maybe" (true or false)`}},
		"duplicate key":         {"dns: {}\ndns: {}\n", []string{`f.yaml:2:1: mapping key "dns" already defined`}},
		"not YAML":              {"a: [1\n", []string{"f.yaml:1:4: "}},
		"interface name":        {"interface: {name: averyveryverylongname}\n", []string{`f.yaml:1:19: "averyveryverylongname" is no interface name (1 to 15`}},
		"mtu":                   {"interface: {mtu: 900}\n", []string{"f.yaml:1:18: mtu: 900 is out of range (auto, or 1280 to 65535)"}},
		"mtu word":              {"interface: {mtu: big}\n", []string{`f.yaml:1:18: mtu: "big" is no size`}},
		"on_exit":               {"interface: {on_exit: blok}\n", []string{`f.yaml:1:22: unknown on_exit "blok", did you mean "block"? (restore, block)`}},
		"address":               {"interface: {addresses: [198.18.0.1]}\n", []string{`f.yaml:1:25: addresses: "198.18.0.1" is no address with a prefix length`}},
		"name of the kernel's":  {"interface: {name: lo}\n", []string{"f.yaml:1:19: lo is the loopback interface"}},
		"name with a pattern":   {"interface: {name: \"mif%d\"}\n", []string{`f.yaml:1:19: "mif%d" is no interface name`}},
		"nobody's address":      {"interface: {addresses: [127.0.0.1/8, \"ff02::1/16\"]}\n", []string{"f.yaml:1:25: addresses: 127.0.0.1/8 is no address that mif0 can have", "f.yaml:1:38: addresses: ff02::1/16 is no"}},
		"two documents":         {"---\ndns: {}\n---\nrules: []\n", []string{"f.yaml:4:6: there is a second document"}},
		"depth":                 {"rules: " + strings.Repeat("[", 50) + "\n", []string{"f.yaml:1:40: this is nested too deeply"}},
		"depth of lists":        {"rules: \n  " + strings.Repeat("- ", 50) + "\n", []string{"f.yaml:2:67: this is nested too deeply"}},
		"aliases":               {"a: &a 1\nb: [" + strings.Repeat("*a, ", 50) + "]\n", []string{"f.yaml:2:133: these are too many aliases"}},
		"nothing to listen on":  {"dns: {listen: []}\n", []string{"f.yaml:1:15: listen is empty, and the host cannot be pointed at nothing"}},
		"listen":                {"dns: {listen: [192.0.2.1]}\n", []string{"f.yaml:1:16: listen: 192.0.2.1 is not reached through mif0"}},
		"manage_host":           {"dns: {manage_host: resolvd}\n", []string{`f.yaml:1:20: unknown manage_host "resolvd", did you mean "resolved"?`}},
		"pattern":               {"discovery: {ignore: [\"[\"]}\n", []string{`f.yaml:1:22: ignore: "[" is no pattern`}},
		"prefix with bits":      {"rules:\n  - {name: a, match: {dst: [192.0.2.1/24]}, require: [x]}\n", []string{"f.yaml:2:29: dst: 192.0.2.1/24 has bits behind the prefix (write 192.0.2.0/24)"}},
		"port":                  {"rules:\n  - {name: a, match: {port: 70000}, require: [x]}\n", []string{`f.yaml:2:29: port: "70000" is no port`}},
		"empty range":           {"rules:\n  - {name: a, match: {port: 20-10}, require: [x]}\n", []string{"f.yaml:2:29: port: the range 20-10 is empty (write 10-20)"}},
		"icmp port":             {"rules:\n  - {name: a, match: {port: 7, proto: icmp}, require: [x]}\n", []string{"f.yaml:2:29: port cannot match: ICMP has no ports"}},
		"protocol":              {"rules:\n  - {name: a, match: {proto: sctp}, require: [x]}\n", []string{`f.yaml:2:30: proto: unknown protocol "sctp" (tcp, udp, icmp)`}},
		"code point":            {"rules:\n  - {name: a, match: {dscp: [af99]}, require: [x]}\n", []string{`f.yaml:2:29: dscp: unknown code point "af99"`}},
		"lan":                   {"router: {lans: [br/lan, lo]}\n", []string{`f.yaml:1:17: lans: "br/lan" is no interface name`, "f.yaml:1:25: lans: lo has no hosts behind it"}},
		"lan twice":             {"router: {lans: [br-lan, br-lan]}\n", []string{"f.yaml:1:25: lans: br-lan is named twice"}},
		"families":              {"rules:\n  - {name: a, match: {dst: [192.0.2.0/24], src: [\"2001:db8::/32\"]}, require: [x]}\n", []string{"f.yaml:2:22: the rule can never match: dst is IPv4 and src is IPv6"}},
		"nothing left":          {"rules:\n  - {name: a, require: [x], forbid: [x]}\n", []string{`f.yaml:2:5: rule "a" forbids every domain that it requires`}},
		"no effect":             {"rules:\n  - {name: a, match: {port: 7}}\n", []string{`f.yaml:2:5: rule "a" has no effect`}},
		"recovery deadline":     {"rules:\n  - {name: a, on_recovery: move-idle, recovery_deadline: soon}\n", []string{`f.yaml:2:58: recovery_deadline: "soon" is no time`}},
		"shadowed":              {"rules:\n  - {name: a, prefer: [x]}\n  - {name: b, prefer: [y]}\n", []string{`f.yaml:3:5: rule "b" can never match: rule "a" before it matches everything`}},
		"two names":             {"rules:\n  - {name: a, match: {port: 1}, prefer: [x]}\n  - {name: a, prefer: [y]}\n", []string{`f.yaml:3:12: there are two rules named "a"`}},
		"algorithm":             {"defaults: {algorithm: weigthed}\n", []string{`f.yaml:1:23: unknown algorithm "weigthed", did you mean "weighted"? (weighted, priority, overflow`}},
		"path":                  {"rules:\n  - {name: a, path: translated}\n", []string{`f.yaml:2:21: unknown path "translated", did you mean "translate"? (auto, terminate, translate)`}},
		"path of the defaults":  {"defaults: {path: relay}\n", []string{`f.yaml:1:18: unknown path "relay" (auto, terminate, translate)`}},
		"path of multipath":     {"rules:\n  - {name: a, mptcp: require, path: translate}\n", []string{"f.yaml:2:37: path: Multipath TCP is not translated (mptcp: off, or leave path out)"}},
		"path of tried ones":    {"rules:\n  - {name: a, mptcp: auto, path: translate}\n", []string{"f.yaml:2:34: path: Multipath TCP is not translated"}},
		"path of held ones":     {"rules:\n  - {name: a, on_failure: hold, path: translate}\n", []string{"f.yaml:2:39: path: what is held is not translated"}},
		"path of a race":        {"rules:\n  - {name: a, race: true, path: translate}\n", []string{"f.yaml:2:33: path: what is translated does not race"}},
		"mptcp":                 {"rules:\n  - {name: a, mptcp: always}\n", []string{`f.yaml:2:22: unknown mptcp "always" (auto, off, require)`}},
		"two domains of a link": {"pvds:\n  - {name: a, interface: e0}\n  - {name: b, interface: e0}\n", []string{`f.yaml:3:26: there are two domains for all of e0`}},
		"domain twice":          {"pvds:\n  - {name: a}\n  - {name: a}\n", []string{`f.yaml:3:12: there are two domains named "a"`}},
		"link twice":            {"pvds:\n  - {interface: e0}\n  - {interface: e0, next_hops: [10.0.0.1]}\n", []string{`f.yaml:3:17: there are two domains named "e0"`}},
		"nameless domain":       {"pvds:\n  - {interface: e0.5}\n", []string{`f.yaml:2:5: a domain without name (name: such as corp)`}},
		"link by name":          {"pvds:\n  - {name: a b}\n", []string{`f.yaml:2:12: domain "a b": "a b" is no interface name`}},
		"domain names":          {"pvds:\n  - {name: a, interface: e0}\n  - {name: a, interface: e1}\n", []string{`f.yaml:3:12: there are two domains named "a"`}},
		"no domain interface":   {"pvds:\n  - {name: a.example.com}\n", []string{`f.yaml:2:5: domain "a.example.com" without interface (interface: such as wg0)`}},
		"domain interface":      {"pvds:\n  - {name: a, interface: \"a b\"}\n", []string{`f.yaml:2:26: domain "a": "a b" is no interface name`}},
		"group":                 {"control: {group: nobody-at-all}\n", []string{`f.yaml:1:18: group: there is no group "nobody-at-all" on this host`}},
		"web elsewhere":         {"control: {web: \"0.0.0.0:6418\"}\n", []string{`f.yaml:1:16: web: "0.0.0.0:6418" is no loopback address with a port`}},
		"web without port":      {"control: {web: 127.0.0.1}\n", []string{`f.yaml:1:16: web: "127.0.0.1" is no loopback address with a port`}},
		"web without metrics":   {"control: {metrics: false, web: \"[::1]:6418\"}\n", []string{"f.yaml:1:32: web: there is nothing to serve without metrics"}},
		"rate without unit":     {"pvds:\n  - {name: a, bandwidth: {down: 100}}\n", []string{"f.yaml:2:33: down: 100 is no amount (such as 100mbit)"}},
		"search":                {"pvds:\n  - {name: a, dns: {search: [\"a b\"]}}\n", []string{`f.yaml:2:30: search: "a b" is no domain name`}},
		"word for a list":       {"router: {lans: br-lan}\n", []string{`f.yaml:1:16: lans cannot be "br-lan" (a list, such as [br-lan])`}},
		"list for a word":       {"rules: [{name: [a]}]\n", []string{"f.yaml:1:16: name cannot be a list (one word)"}},
		"mapping for a list":    {"pvds: {}\n", []string{"f.yaml:1:7: pvds cannot be a mapping (a list, each entry of it with keys: name, interface,"}},
		"list for a mapping":    {"interface: []\n", []string{"f.yaml:1:12: interface cannot be a list (keys: name, mtu,"}},
		"word for a number":     {"pvds: [{name: a, weight: x}]\n", []string{`f.yaml:1:26: weight cannot be "x" (a whole number)`}},
		"part of a number":      {"pvds: [{name: a, weight: 1.5}]\n", []string{`f.yaml:1:26: weight cannot be "1.5" (a whole number)`}},
		"number in quotes":      {"pvds: [{name: a, weight: \"3\"}]\n", []string{`f.yaml:1:26: weight cannot be "3" (a whole number)`}},
		"share in quotes":       {"limits: {tcp_flows: 1e3, per_source: \"0.5\"}\n", []string{`f.yaml:1:21: tcp_flows cannot be "1e3" (a whole number)`, `f.yaml:1:38: per_source cannot be "0.5" (a number)`}},
		"part of a day":         {"pvds: [{name: a, cap: {bytes: 1GB, reset_day: 3.7}}]\n", []string{`f.yaml:1:47: reset_day cannot be "3.7" (a whole number)`}},
		"number beyond all":     {"pvds: [{name: a, weight: 99999999999999999999}]\n", []string{`f.yaml:1:26: weight cannot be "99999999999999999999" (a whole number)`}},
		"word for all":          {"\tfoo\n", []string{"f.yaml:1:1: this is no configuration (keys: interface, dns,"}},
		"alias of another part": {"defaults: &a {algorithm: weighted}\nlimits: *a\n", []string{`f.yaml:1:15: unknown key "algorithm" where an alias puts it`}},
		"weight":                {"pvds:\n  - {name: a, interface: e0, weight: 0}\n", []string{"f.yaml:2:38: weight 0 is out of range (1 to 1000)"}},
		"zone":                  {"pvds:\n  - {name: a, interface: e0, dns: {zones: [\"a..b\"]}}\n", []string{`f.yaml:2:44: zones: "a..b" is no domain name`}},
		"socket":                {"control: {socket: here}\n", []string{`f.yaml:1:19: socket: "here" is no place for a socket`}},
		"limit":                 {"limits: {tcp_flows: 0}\n", []string{"f.yaml:1:21: tcp_flows 0 is out of range"}},
		"share":                 {"limits: {per_source: 1.5}\n", []string{"f.yaml:1:22: per_source 1.5 is out of range"}},
		"several at a time":     {"interface: {mtu: 900}\nlimits: {tcp_flows: 0}\n", []string{"f.yaml:1:18:", "f.yaml:2:21:"}},
		"race":                  {"rules:\n  - {name: a, require: [x, y], race: true}\n", []string{"f.yaml:2:38: race: what is required does not race"}},
		"user":                  {"rules:\n  - {name: a, match: {user: [nobody-at-all]}, require: [x]}\n", []string{`f.yaml:2:29: user: there is no user "nobody-at-all"`}},
		"process":               {"rules:\n  - {name: a, match: {process: /bin/sh}, require: [x]}\n", []string{`f.yaml:2:32: process: "/bin/sh" is no name of a process`}},
		"cgroup":                {"rules:\n  - {name: a, match: {cgroup: /a/../b}, require: [x]}\n", []string{`f.yaml:2:31: cgroup: "/a/../b" is no group below the root`}},
		"name":                  {"rules:\n  - {name: a, match: {name: \"*.a..b\"}, require: [x]}\n", []string{`f.yaml:2:29: name: "*.a..b" is no name and no pattern`}},
		"when":                  {"rules:\n  - {name: a, match: {when: noon}, require: [x]}\n", []string{`f.yaml:2:29: when: "noon" is no time`}},
		"ingress and user":      {"rules:\n  - {name: a, match: {ingress: lan0, user: root}, require: [x]}\n", []string{"f.yaml:2:22: the rule can never match: ingress is about other hosts"}},
		"covered":               {"rules:\n  - {name: a, match: {dst: [10.0.0.0/8]}, prefer: [x]}\n  - {name: b, match: {dst: [10.1.0.0/16], port: 22}, prefer: [y]}\n", []string{`f.yaml:3:5: rule "b" can never match: rule "a" before it matches all of it`}},
		"contradiction":         {"rules:\n  - {name: a, locked: true, require: [vpn]}\n  - {name: b, match: {port: 22}, require: [x]}\n", []string{`f.yaml:3:5: rule "b" contradicts the locked rule "a"`}},
		"bandwidth":             {"pvds:\n  - {name: a, interface: e0, bandwidth: {down: fast}}\n", []string{`f.yaml:2:48: down: fast is no amount (such as 100mbit)`}},
		"cap":                   {"pvds:\n  - {name: a, interface: e0, cap: {bytes: 1GB, reset_day: 32, on_reached: stopp}}\n", []string{`f.yaml:2:59: reset_day 32 is no day`, `f.yaml:2:75: unknown on_reached "stopp", did you mean "stop"?`}},
	}
	for name, tt := range tests {
		_, err := Parse("f.yaml", []byte(tt.content))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v is no *Error", name, err)
			continue
		}
		for i, want := range tt.want {
			if i >= len(e.Problems) {
				t.Errorf("%s: %d problems, want %d:\n%v", name, len(e.Problems), len(tt.want), err)
				break
			}
			one := (&Error{Problems: e.Problems[i : i+1]}).Error()
			if !strings.HasPrefix(one, want) {
				t.Errorf("%s:\n got %s\nwant %s", name, one, want)
			}
			if !strings.Contains(one, "^") {
				t.Errorf("%s: the line is not shown:\n%s", name, one)
			}
		}
	}
}

// TestKeysThatDoNothingAreSaid: what every rule may say is no mistake where it does
// nothing.
func TestKeysThatDoNothingAreSaid(t *testing.T) {
	rule := func(s string) string { return "rules:\n  - {name: a, " + s + "}\n" }
	for content, want := range map[string]string{
		rule("on_recovery: reset, recovery_deadline: 10m"):                                   "f.yaml:2:54: recovery_deadline has no effect here",
		rule("prefer: [x], recovery_deadline: 10m"):                                          "f.yaml:2:47: recovery_deadline has no effect here",
		rule("match: {proto: [udp, icmp]}, path: translate"):                                 "f.yaml:2:50: path has no effect here: it is about TCP",
		rule("match: {proto: [udp, icmp]}, mptcp: auto"):                                     "f.yaml:2:51: mptcp has no effect here: it is about TCP",
		rule("prefer: [x], recovery_deadline: 10m") + "defaults: {on_recovery: move-idle}\n": "",
	} {
		cfg, err := Parse("f.yaml", []byte(content))
		if err != nil {
			t.Errorf("%s is a mistake: %v", content, err)
			continue
		}
		if r := cfg.Policy.Rules[0]; r.MPTCP != scheduler.MultipathInherit || r.Path != scheduler.PathInherit {
			t.Errorf("%s asks for %q and %q", content, r.MPTCP, r.Path)
		}
		got := ""
		for _, p := range cfg.Unused {
			got += p.String()
		}
		if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", content, got, want)
		}
	}
}

// TestEveryKeyTogetherIsValid: what the interface promises, in one file.
func TestEveryKeyTogetherIsValid(t *testing.T) {
	cfg, err := Load("testdata/every-key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.PvDs) != 1 || len(cfg.Policy.Rules) != 1 {
		t.Errorf("%d domains and %d rules, want one of each", len(cfg.PvDs), len(cfg.Policy.Rules))
	}
}

// TestEmptyListsLimitNothing: a list without anything is as good as none.
func TestEmptyListsLimitNothing(t *testing.T) {
	cfg, err := Parse("f.yaml", []byte("rules:\n  - {name: a, require: [x], match: "+
		"{dscp: [], proto: [], port: [], dst: [], src: [], name: [], ingress: [], user: [], process: [], cgroup: [], when: []}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(scheduler.Match{}, cfg.Policy.Rules[0].Match, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the rule matches less than everything:\n%s", diff)
	}
}

// TestADomainIsCalledByItsLink: an entry needs no name to say something of a link.
func TestADomainIsCalledByItsLink(t *testing.T) {
	cfg, err := Parse("f.yaml", []byte("pvds:\n  - {interface: e0, metered: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cfg.PvDs[0]; d.Name != "e0" || d.Interface != "e0" || !d.Metered {
		t.Errorf("the domain is %+v", d)
	}
}

func TestLoadReadsBoundedFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("# padding\n", maxSize/10+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a file beyond the bound: %v", err)
	}
	if _, err := Load(path + ".absent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

// TestWhatIsDeepIsRefusedAtOnce: the YAML library would take gigabytes for what fits
// into one request of a user's.
func TestWhatIsDeepIsRefusedAtOnce(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("[", 60000), strings.Repeat("{a: ", 15000), strings.Repeat("- ", 30000), strings.Repeat("? ", 30000),
		strings.Repeat("&a ", 20000), strings.Repeat("!a ", 20000), "a: &a x\nb: *a\n",
	} {
		var into map[string]any
		if err := Decode([]byte(s), &into); err == nil {
			t.Errorf("%.20q... is taken", s)
		}
	}
	var into map[string]any
	if err := Decode([]byte("{name: \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\", match: {port: [1, 2]}} # [[["), &into); err != nil || len(into) != 2 {
		t.Errorf("what only looks deep: %v, %v", into, err)
	}
	long := []byte("interface: {mtu: 1} #" + strings.Repeat(" ", 2*maxShown) + "\n")
	if _, err := Parse("f.yaml", long); err == nil || len(err.Error()) > maxShown {
		t.Errorf("a long line is shown: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Defaults()))
	f.Add([]byte("rules:\n  - {name: a, match: {port: [1, 2-3], dscp: ef}, require: [x]}\n"))
	f.Add([]byte("pvds:\n  - {name: a, interface: e0, dns: {zones: [x.y]}}\n"))
	f.Add([]byte("pvds: !0 0\n")) // over which the YAML library falls
	f.Fuzz(func(t *testing.T, content []byte) {
		cfg, err := Parse("f.yaml", content)
		if (cfg == nil) == (err == nil) {
			t.Fatalf("neither or both of a configuration and an error: %v", err)
		}
	})
}
