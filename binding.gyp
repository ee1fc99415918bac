{
  "targets": [
    {
      "target_name": "firsthop",
      "conditions": [
        ["OS=='linux'", {
          "sources": [
            "native/addon.cc",
            "native/alarm_addon.cc",
            "native/heartbeat_addon.cc",
            "native/digest.cc",
            "native/echo_ring.cc",
            "native/frame_guard.cc",
            "native/heartbeat.cc",
            "native/heartbeat_frames.cc",
            "native/heartbeat_lease.cc",
            "native/heartbeat_parse.cc",
            "native/heartbeat_stand_in.cc",
            "native/heartbeat_thread.cc",
            "native/kernel_lane.cc",
            "native/packet_port.cc",
            "native/local_datagram_addon.cc",
            "native/loop_handle.cc",
            "native/outgoing_socket_addon.cc",
            "native/route_addon.cc",
            "native/route_table.cc",
            "native/netlink.cc",
            "native/netlink_decode.cc",
            "native/netlink_encode.cc",
            "native/netlink_encode_addon.cc",
            "native/netlink_monitor_addon.cc",
            "native/netlink_presence.cc",
            "native/netlink_presence_addon.cc",
            "native/netlink_socket_addon.cc",
            "native/netlink_values.cc",
            "native/bpf_attach.cc",
            "native/bpf_syscall.cc",
            "native/ownership.cc",
            "native/ownership_addon.cc",
            "native/ownership_found.cc",
            "native/ownership_trial.cc",
            "native/neighbour_watch.cc",
            "native/probe_mailbox.cc",
            "native/probe_packet.cc",
            "native/probe_port.cc",
            "native/probe_table.cc",
            "native/probe_target.cc",
            "native/prober.cc",
            "native/prober_addon.cc",
            "native/seal.cc",
            "native/program_pages_addon.cc",
            "native/prompt_loop_addon.cc",
            "native/traffic_addon.cc",
            "native/traffic.cc",
            "native/traffic_sink.cc",
            "native/traffic_source.cc"
          ],
          "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
          "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_REQUIRE_BASIC_FINALIZERS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
          "cflags_cc": ["-std=c++17", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-fno-exceptions", "-fvisibility=hidden"],
          "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
          "libraries": ["-lpthread", "-lrt"]
        }, {
          "type": "none"
        }]
      ]
    }
  ]
}
