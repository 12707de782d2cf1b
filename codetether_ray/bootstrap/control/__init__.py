"""What a control plane is asked for, whatever it speaks: runs, orders, OKRs, bundles, audit."""
