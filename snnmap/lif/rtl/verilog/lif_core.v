// A LIF chip: input weights, one recurrent hidden population, output weights; one word of each synapse's memories a cycle.
//
// Load the memories (prog_we, or files), pulse clear and wait until busy falls. A step: the count of every channel (in_we), pulse
// start, wait until busy falls, read counts and states (read_addr, one cycle later). Slots 0 .. n_hidden-1 are hidden neurons,
// n_hidden .. n_hidden+n_outputs-1 output neurons, as in the blocks of neurons.
`default_nettype none
module lif_core #(
    parameter N_IN = 2, N_HID = 4, N_OUT = 2,
    parameter S = 2, SO = 1,                                // synapses of hidden and of output neurons
    parameter IN_MAX = 15, HID_MAX = 31, OUT_MAX = 1,       // largest counts
    parameter IN_REACH = 4, IN_LAST = 0, OUT_REACH = 4, OUT_LAST = 1,
    parameter IN_LAYOUT = 0, REC_LAYOUT = 1, OUT_LAYOUT = 0,
    parameter IN_WORDS = 8, REC_WORDS = 16, OUT_WORDS = 8,
    parameter IN_ID = 2, REC_ID = 2, OUT_ID = 1,            // bits of an id in a word
    parameter IN_LEN = 3, REC_LEN = 3, OUT_LEN = 2,         // bits of a word in a table of lengths
    parameter IN_DELAY = 0, OUT_DELAY = 1,
    parameter HAS_BIAS = 1, HAS_ALIAS = 1, AL = 3,
    parameter ENTERS = 0,                                   // whether currents change when a step begins
    parameter FIRE = 5,                                     // stages that take spikes
    parameter W = 8, T = 16, B = 16, D = 4, SHB = 3, X = 16,
    parameter A = 5,                                        // bits of a slot, channel, row or length
    parameter P = 6,                                        // bits of a word address
    parameter CNT = 5,                                      // bits of a count
    parameter DIR = ""
) (
    input wire clk, rst,
    input wire clear,                   // forget all states and counts, and find where rows start
    input wire start, output wire busy, input wire in_we, input wire [A-1:0] in_addr,
    input wire [7:0] in_count,          // clamped to IN_MAX
    input wire [A-1:0] read_addr,       // while not busy
    output wire [CNT-1:0] read_count, output wire [X-1:0] read_v, output wire [S*X-1:0] read_i,
    // load port; prog_block is kind * 4 + synapse, as in the bitstream's directory
    input wire prog_we, input wire [7:0] prog_block, input wire [P-1:0] prog_addr, input wire [31:0] prog_data
);
    localparam N = N_HID + N_OUT;
    localparam C = N > 1 ? $clog2(N) : 1;
    localparam IDLE = 3'd0, CLEAR = 3'd1, ENTER = 3'd2, INPUT = 3'd3, RECURRENT = 3'd4, HIDDEN = 3'd5, OUTPUT = 3'd6, OUTPUTS = 3'd7;

    // how much of the chip is in use
    reg [31:0] settings [0:5];
    initial if (DIR != "") $readmemh({DIR, "/config_0.mem"}, settings);
    always @(posedge clk) if (prog_we && prog_block == 1 * 4) settings[prog_addr[2:0]] <= prog_data;
    wire [A-1:0] n_inputs = settings[0][A-1:0];
    wire [A-1:0] n_hidden = settings[1][A-1:0];
    wire [A-1:0] n_outputs = settings[2][A-1:0];
    reg [A-1:0] in_width, out_width, in_base, out_base;
    always @(posedge clk) begin
        in_width <= n_hidden < IN_REACH ? n_hidden : IN_REACH;
        out_width <= n_hidden < OUT_REACH ? n_hidden : OUT_REACH;
        in_base <= IN_LAST ? n_hidden - in_width : {A{1'b0}};
        out_base <= OUT_LAST ? n_hidden - out_width : {A{1'b0}};
    end

    // order of events
    reg [2:0] phase;
    reg begun, bank;
    reg [A:0] sweep;
    wire [S-1:0] lane_busy;
    wire ev_busy;
    wire finished = begun && !(|lane_busy || ev_busy);
    wire begin_phase = phase > CLEAR && !begun;
    wire clearing = phase == CLEAR;
    wire evolving = phase == HIDDEN || phase == OUTPUTS || phase == ENTER;
    assign busy = phase != IDLE;
    always @(posedge clk) begin
        begun <= !rst && phase > CLEAR && !finished;
        sweep <= clearing ? sweep + 1'b1 : {(A+1){1'b0}};
        if (rst) begin
            phase <= IDLE;
            bank <= 0;
        end else case (phase)
            IDLE: phase <= clear ? CLEAR : !start ? IDLE : ENTERS ? ENTER : INPUT;
            CLEAR: if (&sweep) phase <= IDLE;
            ENTER: if (finished) phase <= INPUT;
            INPUT: if (finished) phase <= RECURRENT;
            RECURRENT: if (finished) phase <= OUT_DELAY ? OUTPUT : HIDDEN;
            HIDDEN: if (finished) phase <= OUT_DELAY ? OUTPUTS : OUTPUT;
            OUTPUT: if (finished) phase <= OUT_DELAY ? HIDDEN : OUTPUTS;
            default: if (finished) begin
                phase <= IDLE;
                bank <= !bank;          // what was written is the step before
            end
        endcase
    end

    // rows and targets of the memory that is walked
    wire [1:0] memory = phase == INPUT ? 2'd0 : phase == RECURRENT ? 2'd1 : phase == OUTPUT ? 2'd2 : 2'd3;
    wire [A-1:0] first = memory == 0 ? (IN_LAYOUT == 2 ? in_base : {A{1'b0}}) : memory == 1 ? {A{1'b0}}
        : OUT_LAYOUT == 2 ? n_hidden : out_base;
    wire [A-1:0] n_rows = memory == 0 ? (IN_LAYOUT == 2 ? in_width : n_inputs) : memory == 1 ? n_hidden
        : OUT_LAYOUT == 2 ? n_outputs : out_width;
    wire [A-1:0] n_inner_now = memory == 0 ? in_width : memory == 1 ? n_hidden : n_outputs;
    wire [A-1:0] inner_base_now = memory == 0 ? (IN_LAYOUT == 0 ? in_base : {A{1'b0}}) : memory == 1 ? {A{1'b0}} : n_hidden;
    wire arriving = memory == 0 ? (IN_DELAY ? !bank : bank) : memory == 1 || OUT_DELAY ? bank : !bank;
    wire [A-1:0] last_now = first + n_rows - 1'b1;
    reg [A-1:0] n_inner, inner_base, last;          // what is looked at after the start alone, a cycle later
    reg [15:0] first_mask, last_mask;
    reg [SHB-1:0] shift;
    always @(posedge clk) begin
        n_inner <= n_inner_now;
        inner_base <= inner_base_now;
        last <= last_now;
        shift <= memory == 0 ? settings[3][SHB-1:0] : memory == 1 ? settings[4][SHB-1:0] : settings[5][SHB-1:0];
        first_mask <= 16'hffff << first[3:0];
        last_mask <= 16'hffff >> ~last_now[3:0];
    end

    // potentials
    wire [A-1:0] ev_raddr, ev_i_waddr, ev_slot;
    wire ev_ren, ev_i_we, ev_v_we;
    wire [S*X-1:0] ev_i_wdata, i_rdata;
    wire [X-1:0] ev_v_wdata;
    wire [A-1:0] state_raddr = evolving ? ev_raddr : read_addr;
    wire state_ren = !evolving || ev_ren;
    reg [X-1:0] potentials [0:N-1];
    reg [X-1:0] v_q;
    wire v_we = clearing ? sweep[A-1:0] < N : ev_v_we;
    wire [A-1:0] v_waddr = clearing ? sweep[A-1:0] : ev_slot;  // lint_off UNUSEDSIGNAL
    always @(posedge clk) begin
        if (state_ren) v_q <= potentials[state_raddr[C-1:0]];
        if (v_we) potentials[v_waddr[C-1:0]] <= clearing ? {X{1'b0}} : ev_v_wdata;
    end
    assign read_v = v_q;
    assign read_i = i_rdata;

    // counts of this step, and which hidden ones are not 0
    wire ev_count_we, to_alias;
    wire [A-1:0] alias_slot;
    wire [CNT-1:0] ev_count;
    wire [A-1:0] count_addr = to_alias ? alias_slot : ev_slot;
    wire [15:0] count_bit = (ev_count != 0) << count_addr[3:0];  // lint_off WIDTHEXPAND
    wire [15:0] lane_map [0:S-1];
    wire [CNT-1:0] lane_count [0:S-1];
    reg [15:0] map;                     // of the group that is being written
    wire [15:0] map_data = count_bit | (to_alias ? lane_map[0] : ev_slot[3:0] == 0 ? 16'd0 : map);
    always @(posedge clk)
        if (phase != HIDDEN) map <= 0;
        else if (ev_count_we && count_addr[A-1:4] == ev_slot[A-1:4]) map <= map_data;
    assign read_count = lane_count[0];

    wire [7:0] in_clamped = in_count > IN_MAX ? IN_MAX : in_count;  // lint_off UNUSEDSIGNAL
    genvar s;
    generate
        for (s = 0; s < S; s = s + 1) begin : g_lane
            lif_lane #(
                .N(N), .N_IN(N_IN), .N_HID(N_HID), .N_OUT(N_OUT), .HAS_OUT(s < SO), .IN_REACH(IN_REACH), .OUT_REACH(OUT_REACH),
                .IN_LAYOUT(IN_LAYOUT), .REC_LAYOUT(REC_LAYOUT), .OUT_LAYOUT(OUT_LAYOUT),
                .IN_WORDS(IN_WORDS), .REC_WORDS(REC_WORDS), .OUT_WORDS(OUT_WORDS), .IN_ID(IN_ID), .REC_ID(REC_ID), .OUT_ID(OUT_ID),
                .IN_LEN(IN_LEN), .REC_LEN(REC_LEN), .OUT_LEN(OUT_LEN),
                .A(A), .P(P), .W(W), .CNT(CNT), .SHB(SHB), .X(X), .SYNAPSE(s), .DIR(DIR)
            ) lane (
                .clk(clk), .rst(rst), .clearing(clearing), .sweep(sweep), .memory(memory),
                .start(begin_phase && memory != 3), .busy(lane_busy[s]), .first(first), .last(last),
                .none(n_rows == 0 || (s >= SO && memory == 2)), .first_mask(first_mask), .last_mask(last_mask),
                .n_inner(n_inner), .inner_base(inner_base), .shift(shift),
                .bank(arriving), .in_we(in_we), .in_bank(bank), .in_addr(in_addr), .in_count(in_clamped[CNT-1:0]),
                .count_we(ev_count_we), .count_bank(!bank), .count_addr(count_addr), .count_data(ev_count),
                .map_we(ev_count_we && phase == HIDDEN), .map_data(map_data),
                .other_bank(evolving ? !bank : bank), .other_slot(evolving ? alias_slot : read_addr),
                .count(lane_count[s]), .map(lane_map[s]),
                .i_ren(state_ren), .other_i_raddr(state_raddr), .i_rdata(i_rdata[s*X +: X]),
                .other_i_we(ev_i_we), .other_i_waddr(ev_i_waddr), .other_i_wdata(ev_i_wdata[s*X +: X]),
                .prog_we(prog_we), .prog_block(prog_block), .prog_addr(prog_addr), .prog_data(prog_data)
            );
        end
    endgenerate

    lif_evolve #(
        .N(N), .N_HID(N_HID), .S(S), .A(A), .P(P), .T(T), .B(B), .D(D), .X(X), .CNT(CNT), .FIRE(FIRE),
        .HAS_BIAS(HAS_BIAS), .HAS_ALIAS(HAS_ALIAS), .AL(AL), .DIR(DIR)
    ) evolve (
        .clk(clk), .rst(rst), .start(begin_phase && evolving), .busy(ev_busy),
        .first(phase == OUTPUTS ? n_hidden : {A{1'b0}}), .beyond(phase == HIDDEN ? n_hidden : n_hidden + n_outputs),
        .entering(phase == ENTER), .is_hidden(phase == HIDDEN), .max_count(phase == HIDDEN ? HID_MAX[CNT-1:0] : OUT_MAX[CNT-1:0]),
        .raddr(ev_raddr), .ren(ev_ren), .i_rdata(i_rdata), .v_rdata(v_q),
        .i_we(ev_i_we), .i_waddr(ev_i_waddr), .i_wdata(ev_i_wdata),
        .v_we(ev_v_we), .slot(ev_slot), .v_wdata(ev_v_wdata),
        .count_we(ev_count_we), .to_alias(to_alias), .alias_slot(alias_slot), .count_data(ev_count), .count_rdata(lane_count[0]),
        .prog_we(prog_we), .prog_block(prog_block), .prog_addr(prog_addr), .prog_data(prog_data)
    );
endmodule
`default_nettype wire
