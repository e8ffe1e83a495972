package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sidestep-mesh/sidestep/test/lab/standin"
)

// Faults returns what is set wrong now.
func (l *Lab) Faults(ctx context.Context) (standin.Faults, error) {
	var f standin.Faults
	raw, err := l.faultRequest(ctx, http.MethodGet, nil)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(raw, &f)
}

// SetFaults replaces all faults; the zero value makes the lab healthy again.
func (l *Lab) SetFaults(ctx context.Context, f standin.Faults) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = l.faultRequest(ctx, http.MethodPut, raw)
	return err
}

func (l *Lab) faultRequest(ctx context.Context, method string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, l.Metrics+"/faults", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", StandIns, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(raw)))
	}
	return raw, nil
}
