package config

// raw is the file as it is written: every key of the contract, values as close
// to text as they come. A key that is not here is an unknown key.
type raw struct {
	Interface *rawInterface `yaml:"interface"`
	DNS       *rawDNS       `yaml:"dns"`
	Router    *rawRouter    `yaml:"router"`
	Discovery *rawDiscovery `yaml:"discovery"`
	PvDs      []rawPvD      `yaml:"pvds"`
	Rules     []rawRule     `yaml:"rules"`
	Defaults  *rawDefaults  `yaml:"defaults"`
	Control   *rawControl   `yaml:"control"`
	Limits    *rawLimits    `yaml:"limits"`
}

type rawInterface struct {
	Name         *string  `yaml:"name"`
	MTU          any      `yaml:"mtu"`
	Addresses    []string `yaml:"addresses"`
	DefaultRoute *bool    `yaml:"default_route"`
	OnExit       *string  `yaml:"on_exit"`
}

type rawDNS struct {
	Listen     []string `yaml:"listen"`
	ManageHost *string  `yaml:"manage_host"`
}

type rawRouter struct {
	LANs []string `yaml:"lans"`
}

type rawDiscovery struct {
	Ignore []string `yaml:"ignore"`
	CA     *string  `yaml:"ca"`
}

type rawPvD struct {
	Name      string     `yaml:"name"`
	Interface string     `yaml:"interface"`
	Addresses []string   `yaml:"addresses"`
	NextHops  []string   `yaml:"next_hops"`
	DNS       *rawPvDDNS `yaml:"dns"`
	Prefixes  []string   `yaml:"prefixes"`
	DHCP      *string    `yaml:"dhcp"`
	Internet  *bool      `yaml:"internet"`
	Trusted   *bool      `yaml:"trusted"`
	Metered   bool       `yaml:"metered"`
	Weight    *int       `yaml:"weight"`
	Public    bool       `yaml:"prefer_public"`
	Bandwidth *rawRates  `yaml:"bandwidth"`
	Cap       *rawCap    `yaml:"cap"`
	Check     *rawCheck  `yaml:"check"`
}

type rawCheck struct {
	Interval string `yaml:"interval"`
	URL      string `yaml:"url"`
}

type rawRates struct {
	Down any `yaml:"down"`
	Up   any `yaml:"up"`
}

type rawCap struct {
	Bytes     any    `yaml:"bytes"`
	ResetDay  *int   `yaml:"reset_day"`
	OnReached string `yaml:"on_reached"`
}

type rawPvDDNS struct {
	Servers []string `yaml:"servers"`
	Zones   []string `yaml:"zones"`
	Search  []string `yaml:"search"`
}

type rawRule struct {
	Name             string   `yaml:"name"`
	Match            rawMatch `yaml:"match"`
	Require          []string `yaml:"require"`
	Prefer           []string `yaml:"prefer"`
	Forbid           []string `yaml:"forbid"`
	Algorithm        string   `yaml:"algorithm"`
	Affinity         string   `yaml:"affinity"`
	OnFailure        string   `yaml:"on_failure"`
	OnRecovery       string   `yaml:"on_recovery"`
	RecoveryDeadline string   `yaml:"recovery_deadline"`
	MPTCP            string   `yaml:"mptcp"`
	Path             string   `yaml:"path"`
	Race             bool     `yaml:"race"`
	Locked           bool     `yaml:"locked"`
}

type rawMatch struct {
	DSCP    any      `yaml:"dscp"`
	Proto   any      `yaml:"proto"`
	Port    any      `yaml:"port"`
	Dst     []string `yaml:"dst"`
	Src     []string `yaml:"src"`
	Name    any      `yaml:"name"`
	Ingress any      `yaml:"ingress"`
	User    any      `yaml:"user"`
	Process any      `yaml:"process"`
	Cgroup  any      `yaml:"cgroup"`
	When    any      `yaml:"when"`
}

type rawDefaults struct {
	Algorithm  string `yaml:"algorithm"`
	Affinity   string `yaml:"affinity"`
	OnFailure  string `yaml:"on_failure"`
	OnRecovery string `yaml:"on_recovery"`
	Path       string `yaml:"path"`
}

type rawControl struct {
	Socket  *string `yaml:"socket"`
	Group   *string `yaml:"group"`
	Web     *string `yaml:"web"`
	Metrics *bool   `yaml:"metrics"`
	Profile *bool   `yaml:"profile"`
}

type rawLimits struct {
	TCPFlows        *int     `yaml:"tcp_flows"`
	UDPFlows        *int     `yaml:"udp_flows"`
	PendingConnects *int     `yaml:"pending_connects"`
	PerSource       *float64 `yaml:"per_source"`
}
