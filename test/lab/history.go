package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// History is a past to make up for the lab's Prometheus.
type History struct {
	Days int
	Step time.Duration
	// Pods, when not 0, makes it the past of a made-up mesh of that many pods instead of that of the cluster.
	Pods int
}

// WriteHistory gives Prometheus a past that ends now, and restarts it so that it
// sees it. It returns how much was written, for people.
func (l *Lab) WriteHistory(ctx context.Context, h History) (string, error) {
	url := l.Metrics + "/rates"
	if h.Pods > 0 {
		url += "?pods=" + strconv.Itoa(h.Pods)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	rates, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s: %.200s", url, response.Status, rates)
	}
	if err := l.Stop(ctx, Prometheus); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, l.Bin.Path("prometheus", "history"), "-out", l.path("prometheus"),
		"-days", strconv.Itoa(h.Days), "-step", h.Step.String(), "-end", strconv.FormatInt(time.Now().Truncate(h.Step).Unix(), 10))
	cmd.Stdin = bytes.NewReader(rates)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("write history: %w\n%s", err, errOut.Bytes())
	}
	return strings.TrimSpace(out.String()), l.Start(ctx, Prometheus)
}
