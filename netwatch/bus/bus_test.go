package bus

import (
	"os"
	"testing"

	"mifvif/netwatch/bus/bustest"
)

func TestNamespacesAreToldApart(t *testing.T) {
	if !Here(os.Getpid()) || Here(1<<30) {
		t.Error("network namespaces are told apart wrongly")
	}
}

func TestAServiceThatIsNotThereIsNotStarted(t *testing.T) {
	conn, err := Connect(t.Context(), bustest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if owner, err := Owner(t.Context(), conn, "org.example.Nobody"); err == nil {
		t.Errorf("nobody is %q", owner)
	}
	if _, err := Connect(t.Context(), "unix:path=/nonexistent"); err == nil {
		t.Error("there is no such bus")
	}
}
