package stack

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// line is an outlet whose app writes down what it gets.
type line struct {
	outlet
	app app
}

func newLine() *line {
	l := &line{}
	l.link = newLink(1500, &l.app)
	return l
}

// say sends one packet of gVisor's: "ack 30", "data 10+20 30" (sequence number,
// length, acknowledgment), "fin 30 30" or "rst 30 30". A word behind it,
// "missing", adds options as of a selective acknowledgment.
func (l *line) say(t *testing.T, what string) {
	t.Helper()
	f := header.TCPFields{SrcPort: 80, DstPort: 4000, Flags: header.TCPFlagAck, DataOffset: header.TCPMinimumSize, WindowSize: 1000}
	length := 0
	kind, rest, _ := strings.Cut(what, " ")
	var err error
	switch kind {
	case "ack":
		_, err = fmt.Sscanf(rest, "%d", &f.AckNum)
		f.SeqNum = 100
	case "data":
		_, err = fmt.Sscanf(rest, "%d+%d %d", &f.SeqNum, &length, &f.AckNum)
		f.Flags |= header.TCPFlagPsh
	case "fin":
		_, err = fmt.Sscanf(rest, "%d %d", &f.SeqNum, &f.AckNum)
		f.Flags |= header.TCPFlagFin
	case "rst":
		_, err = fmt.Sscanf(rest, "%d %d", &f.SeqNum, &f.AckNum)
		f.Flags = header.TCPFlagRst | header.TCPFlagAck
	default:
		err = fmt.Errorf("no kind %q", kind)
	}
	if err != nil {
		t.Fatalf("say %q: %v", what, err)
	}
	if strings.HasSuffix(what, " missing") {
		f.DataOffset += 24
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(f.DataOffset), Payload: buffer.MakeWithData(make([]byte, length)),
	})
	header.TCP(p.TransportHeader().Push(int(f.DataOffset))).Encode(&f)
	p.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: 1448}
	l.send(p)
	p.DecRef()
}

// heard returns what the app got, in the words of say.
func (l *line) heard() []string {
	l.app.mu.Lock()
	defer l.app.mu.Unlock()
	got := []string{}
	for _, b := range l.app.sent {
		h := header.TCP(b)
		seq, ack := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		length := len(b) - int(h.DataOffset())
		word := ""
		switch flags := h.Flags(); {
		case flags.Contains(header.TCPFlagRst):
			word = fmt.Sprintf("rst %d %d", seq, ack)
		case flags.Contains(header.TCPFlagFin) && length > 0:
			word = fmt.Sprintf("data+fin %d+%d %d", seq, length, ack)
		case flags.Contains(header.TCPFlagFin):
			word = fmt.Sprintf("fin %d %d", seq, ack)
		case length > 0:
			word = fmt.Sprintf("data %d+%d %d", seq, length, ack)
		default:
			word = fmt.Sprintf("ack %d", ack)
		}
		got = append(got, word)
	}
	l.app.sent = nil
	return got
}

// converse has the line in conversation; the last acknowledgment is 30.
func (l *line) converse(t *testing.T) {
	t.Helper()
	for i := range conversing {
		l.say(t, fmt.Sprintf("ack %d", 10+10*i))
		l.say(t, fmt.Sprintf("data %d+10 %d", 100+10*i, 10+10*i))
	}
	l.say(t, "data 120+10 30")
	l.heard()
}

func TestAcknowledgmentsRideOnAnswers(t *testing.T) {
	tests := []struct {
		name  string
		fresh bool // no conversation before
		say   []string
		want  []string
	}{
		{"the answer takes it along", false, []string{"ack 40", "data 130+5 40"}, []string{"data 130+5 40"}},
		{"so does the end", false, []string{"ack 40", "fin 130 40"}, []string{"fin 130 40"}},
		{"so does a reset", false, []string{"ack 40", "rst 130 40"}, []string{"rst 130 40"}},
		{"not before there is a conversation", true, []string{"ack 40"}, []string{"ack 40"}},
		{"the second is sent (RFC 5681 4.2)", false, []string{"ack 40", "ack 50"}, []string{"ack 50"}},
		{"and the conversation is over", false, []string{"ack 40", "ack 50", "data 130+5 50", "ack 60"}, []string{"ack 50", "data 130+5 50", "ack 60"}},
		{"two segments are acknowledged at once", false, []string{"ack 2926"}, []string{"ack 2926"}},
		{"nothing new is said at once (RFC 5681 3.2)", false, []string{"ack 30", "ack 30"}, []string{"ack 30", "ack 30"}},
		{"an older number is said at once", false, []string{"ack 20"}, []string{"ack 20"}},
		{"what is missing is said at once", false, []string{"ack 40 missing"}, []string{"ack 40"}},
		{"nothing waits after the end", false, []string{"fin 130 30", "ack 40"}, []string{"fin 130 30", "ack 40"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLine()
			defer l.link.tardy.close()
			if !tt.fresh {
				l.converse(t)
			}
			for _, s := range tt.say {
				l.say(t, s)
			}
			if diff := cmp.Diff(tt.want, l.heard()); diff != "" {
				t.Errorf("the app got (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAcknowledgmentsDoNotWaitForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.converse(t)
		l.say(t, "ack 40")
		time.Sleep(delay - time.Millisecond)
		synctest.Wait()
		if got := l.heard(); len(got) != 0 {
			t.Errorf("%v after %s, want nothing yet", got, delay-time.Millisecond)
		}
		time.Sleep(delay + 2*time.Millisecond)
		synctest.Wait()
		if diff := cmp.Diff([]string{"ack 40"}, l.heard()); diff != "" {
			t.Errorf("after two delays (-want +got):\n%s", diff)
		}
		l.say(t, "data 130+5 40")
		l.say(t, "ack 50")
		if diff := cmp.Diff([]string{"data 130+5 40", "ack 50"}, l.heard()); diff != "" {
			t.Errorf("the next one waits again (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if l.link.tardy.armed || len(l.link.tardy.due)+len(l.link.tardy.waits) > 0 {
			t.Error("the timer runs although nothing waits")
		}
		l.link.tardy.close()
	})
}

// TestEachAcknowledgmentHasItsTime: a later one is not sent by an earlier one's
// timer.
func TestEachAcknowledgmentHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.converse(t)
		ack, seq := 40, 130
		for range 20 { // answers come after a little more than half the delay
			l.say(t, fmt.Sprintf("ack %d", ack))
			time.Sleep(delay*2/3 + time.Millisecond)
			synctest.Wait()
			l.say(t, fmt.Sprintf("data %d+5 %d", seq, ack))
			ack, seq = ack+10, seq+5
		}
		for _, got := range l.heard() {
			if strings.HasPrefix(got, "ack") {
				t.Errorf("%q was sent by itself", got)
			}
		}
		l.link.tardy.close()
	})
}

func TestFINRidesOnTheLastBytes(t *testing.T) {
	tests := []struct {
		name string
		say  []string
		want []string
	}{
		{"behind them", []string{"data 100+5 10", "fin 105 10"}, []string{"data+fin 100+5 10"}},
		{"not with another acknowledgment", []string{"data 100+5 10", "fin 105 20"}, []string{"data 100+5 10", "fin 105 20"}},
		{"not further behind", []string{"data 100+5 10", "fin 110 10"}, []string{"data 100+5 10", "fin 110 10"}},
		{"a reset is none", []string{"data 100+5 10", "rst 105 10"}, []string{"data 100+5 10", "rst 105 10"}},
		{"order is kept", []string{"data 100+5 10", "data 105+5 10", "fin 110 10"}, []string{"data 100+5 10", "data+fin 105+5 10"}},
		{"super-packets do not wait", []string{"data 100+3000 10", "fin 3100 10"}, []string{"data 100+3000 10", "fin 3100 10"}},
		{"until it is known", []string{"data 100+5 10"}, []string{"data 100+5 10"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLine()
			l.cork()
			for _, s := range tt.say {
				l.say(t, s)
			}
			l.uncork()
			if diff := cmp.Diff(tt.want, l.heard()); diff != "" {
				t.Errorf("the app got (-want +got):\n%s", diff)
			}
			if l.kept != nil {
				t.Error("something is kept")
			}
		})
	}
}
