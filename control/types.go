package control

import "time"

// Status is the document of `mifvif status`.
type Status struct {
	Version   string    `json:"version"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Interface Interface `json:"interface"`
	PvDs      []PvD     `json:"pvds"`
	Flows     Counts    `json:"flows"`
	Warnings  []string  `json:"warnings"`
	// Drops counts what was not carried, by reason.
	Drops map[string]uint64 `json:"drops"`
	// Moves counts flows that had to leave their domain, by reason.
	Moves map[string]uint64 `json:"moves"`
	// Process says what the daemon itself uses.
	Process Process `json:"process"`
}

// Interface is mif0.
type Interface struct {
	Name         string   `json:"name"`
	Addresses    []string `json:"addresses"`
	MTU          int      `json:"mtu"` // bytes
	DefaultRoute bool     `json:"default_route"`
}

// Counts are live flows by protocol.
type Counts struct {
	TCP   int `json:"tcp"`
	UDP   int `json:"udp"`
	ICMP  int `json:"icmp"`
	Other int `json:"other"`
}

// Process is the daemon's own use of the machine.
type Process struct {
	PID        int `json:"pid"`
	Goroutines int `json:"goroutines"`
}

// PvD is one provisioning domain.
type PvD struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	Explicit bool   `json:"explicit"`
	// Shared: one domain with others of its id, on other interfaces.
	Shared       bool       `json:"shared"`
	Interface    string     `json:"interface"`
	State        string     `json:"state"`
	Connectivity string     `json:"connectivity"`
	Sources      []string   `json:"sources"`
	NextHops     []string   `json:"next_hops"`
	DNS          []Resolver `json:"dns"`
	Zones        []string   `json:"zones"`
	Prefixes     []string   `json:"prefixes"`
	PREF64       []string   `json:"pref64"`
	Handles      []string   `json:"handles"` // addresses of mif0: a socket bound to one is put on this domain
	RTT          *float64   `json:"rtt"`     // seconds; null until measured
	Loss         *float64   `json:"loss"`    // 0 to 1; null until measured
	Flows        int        `json:"flows"`
	TxBytes      uint64     `json:"tx_bytes"` // that flows sent since the daemon's start
	RxBytes      uint64     `json:"rx_bytes"`
	TxRate       uint64     `json:"tx_rate"` // bits/s on its interface in the last second, whoever sent them
	RxRate       uint64     `json:"rx_rate"`
	Weight       int        `json:"weight"`
	Metered      bool       `json:"metered"`
	Trusted      bool       `json:"trusted"`
	Reason       string     `json:"reason"`
	// Objects are all the items the domain holds, each with its origin.
	Objects []Object `json:"objects,omitempty"`
}

// Resolver is a DNS server of a domain.
type Resolver struct {
	Address string   `json:"address"`
	Origin  string   `json:"origin"`
	Zones   []string `json:"zones"`
}

// Object is one item of configuration with where it came from.
type Object struct {
	// Kind is address, next_hop, advert (a router's prefix), route, prefix,
	// resolver, zone, search, ntp, pref64, portal or selection.
	Kind     string   `json:"kind"`
	Value    string   `json:"value"`
	Origin   string   `json:"origin"`
	Lifetime *float64 `json:"lifetime"` // seconds; null: infinite
	Flags    []string `json:"flags,omitempty"`
}

// Flow is one live flow.
type Flow struct {
	ID        string    `json:"id"`
	Proto     string    `json:"proto"`
	Src       string    `json:"src"`
	Dst       string    `json:"dst"`
	Name      string    `json:"name"`
	PvD       string    `json:"pvd"`
	Interface string    `json:"interface"`
	Source    string    `json:"source"`
	Rule      string    `json:"rule"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason"`
	Path      string    `json:"path"` // terminated, translated or offloaded
	State     string    `json:"state"`
	Started   time.Time `json:"started"`
	TxBytes   uint64    `json:"tx_bytes"`
	RxBytes   uint64    `json:"rx_bytes"`
	Owner     Owner     `json:"owner"`
	MPTCP     MPTCP     `json:"mptcp"`
}

// Owner is whose socket a local flow is; zero where it is not known.
type Owner struct {
	UID     int    `json:"uid"`
	PID     int    `json:"pid"`
	Process string `json:"process"`
	Cgroup  string `json:"cgroup"`
}

// MPTCP says over how many paths a flow runs.
type MPTCP struct {
	Subflows int       `json:"subflows"` // that are connected; 0: it is none of Multipath TCP
	Paths    []Subflow `json:"paths,omitempty"`
}

// Subflow is one path of a flow.
type Subflow struct {
	PvD    string `json:"pvd"`
	Source string `json:"source"`
	Backup bool   `json:"backup"` // it carries only what the others cannot
}

// Multipath is whether a flow may use several domains at a time.
type Multipath struct {
	Use    string `json:"use"` // auto, off or require
	Reason string `json:"reason"`
}

// Explanation is the document of `mifvif explain`.
type Explanation struct {
	Flow       FlowKey     `json:"flow"`
	Decision   *Decision   `json:"decision"` // null when refused
	Refusal    string      `json:"refusal,omitempty"`
	Candidates []Candidate `json:"candidates"`
	Rules      []Rule      `json:"rules"`
	Conflicts  []Conflict  `json:"conflicts"`
	MPTCP      *Multipath  `json:"mptcp,omitempty"` // of TCP that is not refused
}

// Resolution is the document of `mifvif resolve`.
type Resolution struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Rcode    string   `json:"rcode"`
	Answer   []string `json:"answer"`
	PvD      string   `json:"pvd"` // "" for an answer of the house itself
	Resolver string   `json:"resolver"`
	Cached   bool     `json:"cached"`
	Zone     string   `json:"zone"`
	Reason   string   `json:"reason"`
	Failure  string   `json:"failure,omitempty"` // why there is no answer
}

// CacheEntry is one answer in a domain's cache.
type CacheEntry struct {
	PvD      string   `json:"pvd"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Rcode    string   `json:"rcode"`
	Answer   []string `json:"answer"`
	Resolver string   `json:"resolver"`
	Left     float64  `json:"left"` // seconds
}

// NameQuestion is what resolve is asked.
type NameQuestion struct {
	Name string `json:"name"`
	Type string `json:"type"`
	PvD  string `json:"pvd"` // "": as for any app
}

// FlowKey is what was asked about.
type FlowKey struct {
	ID    string `json:"id,omitempty"`
	Proto string `json:"proto"`
	Src   string `json:"src"`
	Dst   string `json:"dst"`
	Name  string `json:"name"`
	Zone  string `json:"zone,omitempty"` // of the name, where one decides
	DSCP  int    `json:"dscp"`
}

// Decision is where a flow goes and why.
type Decision struct {
	PvD       string `json:"pvd"`
	Source    string `json:"source"`
	Interface string `json:"interface"`
	Rule      string `json:"rule"`
	Actor     string `json:"actor"`
	Reason    string `json:"reason"`
	// Path is terminated, translated or, of a live flow, offloaded. PathReason says why,
	// of TCP that is only asked about.
	Path       string `json:"path"`
	PathReason string `json:"path_reason,omitempty"`
}

// Candidate is what became of one domain.
type Candidate struct {
	PvD     string `json:"pvd"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
}

// Rule is a rule that spoke.
type Rule struct {
	Name   string `json:"name"`
	Actor  string `json:"actor"`
	Effect string `json:"effect"`
	Reason string `json:"reason,omitempty"` // of what networks say: why it has that effect
}

// RuleInForce is one rule of `mifvif rules`.
type RuleInForce struct {
	Name   string  `json:"name"`
	Actor  string  `json:"actor"`
	User   *uint32 `json:"user"` // whose flows it is about, of users' rules
	Locked bool    `json:"locked"`
	// What it matches, by key of the configuration; a key that is not there
	// matches everything.
	Match     map[string][]string `json:"match"`
	Algorithm string              `json:"algorithm"` // "": that of the defaults
	// Likewise:
	Path       string   `json:"path,omitempty"`
	Affinity   string   `json:"affinity,omitempty"`
	OnFailure  string   `json:"on_failure,omitempty"`
	OnRecovery string   `json:"on_recovery,omitempty"`
	MPTCP      string   `json:"mptcp,omitempty"`
	Race       bool     `json:"race,omitempty"`
	Require    []string `json:"require"`
	Prefer     []string `json:"prefer"`
	Forbid     []string `json:"forbid"`
}

// Drain has a domain get no new flows, or get them again.
type Drain struct {
	PvD      string  `json:"pvd"`
	On       bool    `json:"on"`
	Deadline float64 `json:"deadline"` // seconds from now, after which its flows are ended; 0: never
}

// RuleChange adds a rule, as it is written in a file, to those of the user who
// asks, or removes one by name.
type RuleChange struct {
	Add    string `json:"add,omitempty"`
	Remove string `json:"remove,omitempty"`
}

// Conflict is a rule that lost against another.
type Conflict struct {
	Winner string `json:"winner"`
	Loser  string `json:"loser"`
	Reason string `json:"reason"`
}

// Question is what explain is asked.
type Question struct {
	Target string `json:"target"` // a name, an address or a flow id
	Proto  string `json:"proto"`
	Src    string `json:"src"`
	Port   int    `json:"port"`
	DSCP   int    `json:"dscp"`
	// Whose flow is meant; nothing: nobody's in particular.
	User    *uint32 `json:"user,omitempty"`
	Process string  `json:"process,omitempty"`
	Cgroup  string  `json:"cgroup,omitempty"`
}
