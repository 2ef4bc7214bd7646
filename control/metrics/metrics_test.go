package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func snapshot() Snapshot {
	rtt, loss := 0.025, 0.01
	return Snapshot{
		PvDs: []PvD{
			{Name: "fiber", Interface: "eth0", Up: true, Flows: map[string]int{"tcp": 3, "udp": 0}, RTT: &rtt, Loss: &loss},
			{Name: "lte \"x\"\n\xff", Interface: "wwan0"},
		},
		Carried: []Carried{{"fiber", 1000, 5000}, {"gone", 7, 8}},
		Queries: []Queries{{"", "NOERROR", 1}, {"fiber", "NXDOMAIN", 2}},
		Moves:   map[string]uint64{"failure": 4},
		Drops:   map[string]uint64{"martian": 5},
	}
}

const exposed = `# HELP mifvif_dns_queries_total Answers that apps got from the resolver, by the domain that was asked and response code.
# TYPE mifvif_dns_queries_total counter
mifvif_dns_queries_total{pvd="",rcode="NOERROR"} 1
mifvif_dns_queries_total{pvd="fiber",rcode="NXDOMAIN"} 2
# HELP mifvif_drops_total What was not carried, by reason.
# TYPE mifvif_drops_total counter
mifvif_drops_total{reason="martian"} 5
# HELP mifvif_flow_moves_total Flows that left their domain for another, by reason.
# TYPE mifvif_flow_moves_total counter
mifvif_flow_moves_total{reason="failure"} 4
# HELP mifvif_flows Live flows by domain and protocol.
# TYPE mifvif_flows gauge
mifvif_flows{proto="tcp",pvd="fiber"} 3
mifvif_flows{proto="udp",pvd="fiber"} 0
# HELP mifvif_pvd_loss_ratio Part of the packets that the domain loses, as flows show it.
# TYPE mifvif_pvd_loss_ratio gauge
mifvif_pvd_loss_ratio{pvd="fiber"} 0.01
# HELP mifvif_pvd_rtt_seconds Round trip over the domain, as flows show it.
# TYPE mifvif_pvd_rtt_seconds gauge
mifvif_pvd_rtt_seconds{pvd="fiber"} 0.025
# HELP mifvif_pvd_up Whether new flows are put on the domain.
# TYPE mifvif_pvd_up gauge
mifvif_pvd_up{interface="eth0",pvd="fiber"} 1
mifvif_pvd_up{interface="wwan0",pvd="lte \"x\"\n�"} 0
# HELP mifvif_rx_bytes_total Bytes that apps have received over the domain.
# TYPE mifvif_rx_bytes_total counter
mifvif_rx_bytes_total{pvd="fiber"} 5000
mifvif_rx_bytes_total{pvd="gone"} 8
# HELP mifvif_tx_bytes_total Bytes that apps have sent over the domain.
# TYPE mifvif_tx_bytes_total counter
mifvif_tx_bytes_total{pvd="fiber"} 1000
mifvif_tx_bytes_total{pvd="gone"} 7
`

// TestMetricsAreThoseOfTheContract: names, labels, types and values, as Prometheus'
// own linter wants them.
func TestMetricsAreThoseOfTheContract(t *testing.T) {
	c := newCollector(snapshot)
	if err := testutil.CollectAndCompare(c, strings.NewReader(exposed)); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestAScrapeIsServed: the handler speaks Prometheus' text format.
func TestAScrapeIsServed(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(snapshot).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || w.Body.String() != exposed || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
}
