module inhaul.dev/fuzz

go 1.25.0

require (
	github.com/fluxcd/pkg/sourceignore v0.17.0
	go.yaml.in/yaml/v3 v3.0.4
	sigs.k8s.io/yaml v1.6.0
)

require (
	github.com/kr/text v0.2.0 // indirect
	go.yaml.in/yaml/v2 v2.4.4 // indirect
)
