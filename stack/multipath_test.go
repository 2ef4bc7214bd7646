package stack

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"mifvif/packet"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// What a Linux 6.18 socket of each kind puts into its SYN.
const (
	plainSYN     = "020405b4 0402 080a 11223344 00000000 01 03030a"
	multipathSYN = "020405b4 0402 080a 11223344 00000000 01 03030a 1e040181"
)

func TestAppAsksForMultipathByItsSYN(t *testing.T) {
	for _, tc := range []struct {
		name, options string
		want          bool
	}{
		{"none at all", "", false},
		{"a plain socket's", plainSYN, false},
		{"a multipath socket's", multipathSYN, true},
		{"alone", "1e040181", true},
		{"another version", "1e040081", true},
		{"with a key, as in an acknowledgment", "1e0c0181 0102030405060708", true},
		{"behind padding", "0101 1e040181", true},
		{"behind the end", "00 1e040181", false},
		{"MP_JOIN", "1e0c1001 0102030405060708", false},
		{"too short for MP_CAPABLE", "1e0301", false},
		{"longer than what is there", "1e050181", false},
		{"length of nothing", "1e00 1e040181", false},
		{"behind a length of one", "0501 1e040181", false},
		{"cut behind the kind", "1e", false},
		{"inside another option", "05061e040181", false},
	} {
		if got := asksMultipath(unhex(t, tc.options)); got != tc.want {
			t.Errorf("%s: asks for multipath = %v, want %v", tc.name, got, tc.want)
		}
	}
}

func FuzzAsksMultipath(f *testing.F) {
	for _, s := range []string{"", plainSYN, multipathSYN, "1e", "0501", "00", "1e0c1001 0102030405060708"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, options []byte) {
		was := bytes.Clone(options)
		got := asksMultipath(options)
		if !bytes.Equal(was, options) {
			t.Fatal("the options were changed")
		}
		if got && !bytes.Contains(options, []byte{packet.OptionMultipath}) {
			t.Fatal("asks for multipath without its option")
		}
		// What is in front and asks for nothing changes nothing.
		if padded := asksMultipath(append([]byte{1, 2, 4, 5, 0xb4}, options...)); padded != got {
			t.Fatalf("behind another option: asks for multipath = %v, want %v", padded, got)
		}
	})
}
