package host

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseResolvConf(t *testing.T) {
	tests := map[string]struct {
		in   string
		want []string
	}{
		"plain":      {"nameserver 192.0.2.1\nnameserver 2001:db8::1\n", []string{"192.0.2.1", "2001:db8::1"}},
		"zone":       {"nameserver fe80::1%eth0\n", []string{"fe80::1%eth0"}},
		"spaces":     {"\t nameserver\t192.0.2.1   # home\r\n", []string{"192.0.2.1"}},
		"comments":   {"#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n# nameserver 192.0.2.3\n", nil},
		"no address": {"nameserver\nnameserver example.net\nnameserver 192.0.2.256\nnameservers 192.0.2.1\n", nil},
		"twice":      {"nameserver 192.0.2.1\nnameserver ::ffff:192.0.2.1\n", []string{"192.0.2.1"}},
		"no newline": {"nameserver 192.0.2.1", []string{"192.0.2.1"}},
		"empty":      {"", nil},
	}
	for name, tt := range tests {
		var got []string
		for _, a := range ParseResolvConf([]byte(tt.in)) {
			got = append(got, a.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzResolvConf(f *testing.F) {
	f.Add([]byte(theirs))
	f.Add([]byte(title + kindPrefix + "file 0644 0 0\n"))
	f.Add([]byte("\r\n\x00nameserver\n#> nameserver 192.0.2.1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		recoverOriginal(b)
		o := original{Kind: plain, Perm: 0o640, UID: 1, GID: 2, Content: b}
		made := render(o, ours())
		if got := ParseResolvConf(made); !cmp.Equal(got, ours(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
			t.Fatalf("our file names %v", got)
		}
		back, ok := recoverOriginal(made)
		want := b
		if len(b) > 0 && b[len(b)-1] != '\n' {
			want = append(bytes.Clone(b), '\n')
		}
		if !ok || back.Kind != plain || back.Perm != 0o640 || back.UID != 1 || back.GID != 2 || !bytes.Equal(back.Content, want) {
			t.Fatalf("the comment holds %q, want %q", back.Content, want)
		}
	})
}
